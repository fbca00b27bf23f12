/* zscore: standardise the columns of a table that does not fit the memory we allow, and say what they were.
 *
 *     zscore            makes a table of its own to work on
 *     zscore IN OUT     an npy file of shape (rows, columns)
 */
#include <mars/mars.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COLUMNS_MAX 16

static int complain(const char *what, const mars_error *why)
{
    fprintf(stderr, "zscore: %s: %s (%s)\n", what, why->message, mars_status_name(why->status));
    return EXIT_FAILURE;
}

/* A table whose means and deviations are known: 400,000 rows of 3 float64. */
static int make_table(const char *path)
{
    const long rows = 400000;
    char head[128];
    memset(head, ' ', sizeof head);
    memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10);
    int n = snprintf(head + 10, 118, "{'descr': '<f8', 'fortran_order': False, 'shape': (%ld, 3), }", rows);
    head[10 + n] = ' ';
    head[127] = '\n';

    FILE *f = fopen(path, "wb");
    if (!f) return -1;
    fwrite(head, 1, sizeof head, f);
    for (long i = 0; i < rows; i++) {
        double row[3] = {(double)(i % 100), 5 + 0.5 * (double)(i % 2), 0.01 * (double)(i % 1000) - 3};
        fwrite(row, sizeof row, 1, f);
    }
    return fclose(f);
}

int main(int argc, char **argv)
{
    char made[4096], result[4096];
    const char *tmp = getenv("MARS_TEST_TMPDIR");
    if (!tmp) tmp = getenv("TMPDIR");
    if (!tmp) tmp = "/tmp";
    if (argc == 3) {
        snprintf(made, sizeof made, "%s", argv[1]);
        snprintf(result, sizeof result, "%s", argv[2]);
    } else {
        snprintf(made, sizeof made, "%s/zscore_in_%ld.npy", tmp, (long)getpid());
        snprintf(result, sizeof result, "%s/zscore_out_%ld.npy", tmp, (long)getpid());
        if (make_table(made) != 0) {
            perror(made);
            return EXIT_FAILURE;
        }
    }

    mars_session_config cfg;
    mars_session_config_init(&cfg);
    cfg.host_budget_bytes = 4u << 20; /* the table has 9.6 MB */
    mars_session *mars;
    mars_error err;
    if (mars_session_create(&cfg, &mars, &err)) return complain("no session", &err);

    /* what there is, and what we want of it */
    mars_tensor *table = mars_from_npy(mars, made);
    if (mars_check(table, &err)) return complain(made, &err);
    mars_shape shape = mars_shape_of(table);
    if (shape.ndim != 2 || shape.dims[1] > COLUMNS_MAX) {
        fprintf(stderr, "zscore: '%s' is not a table of at most %d columns\n", made, COLUMNS_MAX);
        return EXIT_FAILURE;
    }
    size_t columns = (size_t)shape.dims[1];
    printf("%lld rows, %zu columns\n", (long long)shape.dims[0], columns);

    mars_tensor *mean = mars_mean(table, MARS_AXES(0));
    mars_tensor *deviation = mars_std(table, MARS_AXES(0));
    mars_tensor *z = mars_div(mars_sub(table, mean), deviation);

    /* first pass: the summary; second pass: the file, and a check of it on the way */
    double m[COLUMNS_MAX], d[COLUMNS_MAX], zm[COLUMNS_MAX], zd[COLUMNS_MAX];
    mars_output summary[] = {{.tensor = mean, .sink = MARS_SINK_MEMORY, .data = m, .bytes = columns * sizeof *m},
                             {.tensor = deviation, .sink = MARS_SINK_MEMORY, .data = d, .bytes = columns * sizeof *d}};
    mars_job *job;
    if (mars_submit(mars, summary, 2, &job, &err) || mars_wait(job, &err)) return complain("summary", &err);
    mars_job_release(job);
    for (size_t c = 0; c < columns; c++) printf("column %zu: mean %.6f std %.6f\n", c, m[c], d[c]);

    if (mars_save_npy(z, result, &err)) return complain(result, &err);

    mars_tensor *again = mars_from_npy(mars, result);
    mars_output check[] = {
        {.tensor = mars_mean(again, MARS_AXES(0)), .sink = MARS_SINK_MEMORY, .data = zm, .bytes = columns * sizeof *zm},
        {.tensor = mars_std(again, MARS_AXES(0)), .sink = MARS_SINK_MEMORY, .data = zd, .bytes = columns * sizeof *zd}};
    if (mars_submit(mars, check, 2, &job, &err) || mars_wait(job, &err)) return complain("check", &err);
    mars_job_release(job);
    int good = 1;
    for (size_t c = 0; c < columns; c++) good = good && fabs(zm[c]) < 1e-9 && fabs(zd[c] - 1) < 1e-9;
    mars_session_destroy(mars);
    if (argc != 3) {
        remove(made);
        remove(result);
    }
    puts(good ? "all columns standardised" : "some columns are off");
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
