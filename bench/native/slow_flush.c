/* Makes every flush of a process slower, for benchmarks on disks whose flush is cheap.
 *
 * Preloaded into the BEAM and the floor alike. The file named by SLOW_FLUSH holds one native 64-bit
 * integer, the nanoseconds to add, and is mapped: the benchmark switches all processes at once by
 * writing it. rustix calls syncfs without libc, so that one stays as it is.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *delay;

__attribute__((constructor)) static void map_delay(void) {
  const char *path = getenv("SLOW_FLUSH");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *mapped = mmap(NULL, sizeof *delay, PROT_READ, MAP_SHARED, file, 0);
  if (mapped != MAP_FAILED) delay = mapped;
  close(file);
}

static int flush(const char *name, int file) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  int result = real(file), error = errno;
  int64_t nanoseconds = delay ? *delay : 0;
  if (nanoseconds > 0) {
    struct timespec left = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
  }
  errno = error;
  return result;
}

int fsync(int file) { return flush("fsync", file); }
int fdatasync(int file) { return flush("fdatasync", file); }
