// Waiting for the GIL where the interpreter may be ending.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <thread>

namespace textassay::bindings {

// Where the interpreter is ending, Python before 3.14 ends a daemon thread that waits for the GIL by unwinding its stack, which no
// destructor and no frame of another's may be left by: std::terminate. Newer ones let the thread sleep until the process is gone.
// So do these, on all of them.
template <typename Function>
auto or_sleep(Function wait_for_gil) noexcept {
    try {
        return wait_for_gil();
    } catch (...) {  // Python's C throws nothing but the end of the thread
        for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
    }
}

// While it lives other threads run Python.
class GilRelease {
   public:
    GilRelease() : state_(PyEval_SaveThread()) {}
    ~GilRelease() {
        or_sleep([this] { PyEval_RestoreThread(state_); });
    }
    GilRelease(const GilRelease&) = delete;
    GilRelease& operator=(const GilRelease&) = delete;

   private:
    PyThreadState* state_;
};

// While it lives this thread, whoever made it, may call Python.
class GilAcquire {
   public:
    GilAcquire() : state_(or_sleep([] { return PyGILState_Ensure(); })) {}
    ~GilAcquire() { PyGILState_Release(state_); }
    GilAcquire(const GilAcquire&) = delete;
    GilAcquire& operator=(const GilAcquire&) = delete;

   private:
    PyGILState_STATE state_;
};

}  // namespace textassay::bindings
