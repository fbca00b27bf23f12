// The C header from C++, wrapped the way C++ programs do it.
#include <mars/mars.h>

#include <iomanip>
#include <iostream>
#include <memory>
#include <stdexcept>

namespace {

class Session {
public:
    Session()
    {
        mars_error error;
        mars_session *raw = nullptr;
        if (mars_session_create(nullptr, &raw, &error) != MARS_OK)
            throw std::runtime_error(error.message);
        handle_.reset(raw);
    }
    mars_session *get() const { return handle_.get(); }

private:
    struct Destroy {
        void operator()(mars_session *s) const { mars_session_destroy(s); }
    };
    std::unique_ptr<mars_session, Destroy> handle_;
};

} // namespace

int main()
{
    try {
        Session session;
        mars_tensor *column = mars_arange(session.get(), MARS_F64, 1, 11, 1);
        mars_tensor *tens = mars_reshape(mars_arange(session.get(), MARS_F64, 0, 1000, 10), MARS_SHAPE(100, 1));
        mars_tensor *mean = mars_mean(mars_add(column, tens), MARS_AXES(0, 1));
        mars_error error;
        double result = 0;
        if (mars_fetch(mean, &result, sizeof result, &error) != MARS_OK)
            throw std::runtime_error(error.message);
        std::cout << "mean of 1000 values: " << std::fixed << std::setprecision(6) << result << '\n';
        return 0;
    } catch (const std::exception &e) {
        std::cerr << e.what() << '\n';
        return 1;
    }
}
