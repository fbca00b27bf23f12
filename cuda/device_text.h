/* The files of cuda/device and engine/box_muller.h as strings, put into the library when it is built (cuda/embed.cmake). */
#ifndef MX_CUDA_DEVICE_TEXT_H
#define MX_CUDA_DEVICE_TEXT_H

extern const char mx_device_base[], mx_device_int[], mx_device_float[], mx_device_cast[], mx_device_complex[], mx_device_complex_math[],
    mx_device_complex_power[],
    mx_device_box_muller[], mx_device_random[], mx_device_reduce[], mx_device_scan[], mx_device_copy[], mx_device_turn[], mx_device_tile[],
    mx_device_factor[], mx_device_wide[], mx_device_product[];

#endif
