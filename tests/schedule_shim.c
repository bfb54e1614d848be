// Schedules that a quiet machine never makes: preloaded (LD_PRELOAD), a thread that unlocks a mutex sleeps now and then, so that what
// others do between two locks of it happens often.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <time.h>

static int (*unlock)(pthread_mutex_t*);
static __thread uint32_t state;

__attribute__((constructor)) static void find_unlock(void) {
    unlock = (int (*)(pthread_mutex_t*))dlsym(RTLD_NEXT, "pthread_mutex_unlock");
}

// Marsaglia (2003), seeded by where the thread's own variable lies.
static uint32_t next_random(void) {
    if (state == 0) state = (uint32_t)((uintptr_t)&state >> 4) | 1;
    state ^= state << 13;
    state ^= state >> 17;
    return state ^= state << 5;
}

int pthread_mutex_unlock(pthread_mutex_t* mutex) {
    if (unlock == 0) find_unlock();
    const int result = unlock(mutex);
    if (next_random() % 4 == 0) {
        const struct timespec pause = {0, next_random() % 100000};
        nanosleep(&pause, 0);
    }
    return result;
}
