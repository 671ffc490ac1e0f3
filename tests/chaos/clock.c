/* Moves the wall clock of one process: put in front of the C library with LD_PRELOAD.
 *
 * CHAOS_CLOCK names a file of eight bytes, a signed number of microseconds in this host's byte order, which is added to what
 * gettimeofday, time and clock_gettime(CLOCK_REALTIME) say. The file is mapped, so a change takes effect at the next call.
 * Monotonic clocks are left alone: they do not jump. A program that reads the clock without the C library is not reached.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *shift;
static int looked;

static int64_t offset_us(void) {
    if (!looked) {
        const char *name = getenv("CHAOS_CLOCK");
        int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
        looked = 1;
        if (file >= 0) {
            void *place = mmap(0, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
            shift = place == MAP_FAILED ? 0 : place;
            close(file);
        }
    }
    return shift ? *shift : 0;
}

static void add(struct timespec *time) {
    int64_t nanos = time->tv_nsec + offset_us() % 1000000 * 1000;
    time->tv_sec += offset_us() / 1000000;
    if (nanos < 0) {
        nanos += 1000000000;
        time->tv_sec -= 1;
    } else if (nanos >= 1000000000) {
        nanos -= 1000000000;
        time->tv_sec += 1;
    }
    time->tv_nsec = nanos;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int failed = syscall(SYS_clock_gettime, clock, time);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        add(time);
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec time;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &time))
        return -1;
    if (now) {
        now->tv_sec = time.tv_sec;
        now->tv_usec = time.tv_nsec / 1000;
    }
    return 0;
}

time_t time(time_t *into) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now))
        return -1;
    if (into)
        *into = now.tv_sec;
    return now.tv_sec;
}
