/*
 * Memory that cannot be had, one allocation at a time: preloaded into limpet, this stands between it and the C library's
 * allocator, anonymous mmap and pthread_create (a thread is memory too).
 *
 * An allocation is known by its path: the return addresses from it up to main, as places in the files they lie in, so
 * that it is the same path in every run. A test reads the paths that were met in a file that both map, and says there
 * what is to fail: the first allocation on one path, or the Nth of all, and how many more behind it. allocations.js has
 * the other end of struct orders and struct path.
 *
 *     ALLOCATIONS=./file LD_PRELOAD=allocations.so limpet run …
 *
 * Workers do not inherit it: both variables are gone before main() begins.
 *
 * Limits: what the C library allocates for itself without malloc is not met, nor what Lua is refused inside of its arena
 * (tests/policies/test_bombs.c does that). Paths longer than DEPTH are told apart by their inner ends.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEPTH 24
#define PATHS 2048
#define FILES 32

/* Frames of ours, above the allocation. */
#define OWN_FRAMES 3

/* The file that an address lies in, the program being 0, and how far into it. */
#define PLACE(file, offset) ((uint64_t)(file) << 48 | (offset))
#define NO_FILE 0xffff

struct path {
	uint64_t hash;
	uint64_t places[DEPTH]; /* The allocation first; 0 behind the last. */
	uint32_t failed;
	uint32_t unused;
};

struct orders {
	_Atomic uint32_t armed;
	_Atomic uint32_t nth;   /* 0: none by number. */
	_Atomic uint64_t path;  /* 0: none by path. */
	_Atomic uint64_t place; /* 0: none by its innermost place in the program. */
	_Atomic uint64_t then;  /* One more, behind that; 0: none. */
	_Atomic uint32_t more;  /* That fail behind, whichever they are. */
	_Atomic uint32_t met;
	_Atomic uint32_t failed;
	_Atomic uint32_t path_count;
	struct path paths[PATHS];
};

struct file {
	uintptr_t base, begin, end;
	bool is_sanitizer;
};

static struct orders *orders;
static struct file files[FILES];
static unsigned file_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* What unwinding allocates, if anything, is not limpet's. */
static _Thread_local bool inside __attribute__((tls_model("initial-exec")));

static struct {
	void *(*malloc)(size_t);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
	void *(*reallocarray)(void *, size_t, size_t);
	void *(*aligned_alloc)(size_t, size_t);
	int (*posix_memalign)(void **, size_t, size_t);
	void *(*mmap)(void *, size_t, int, int, int, off_t);
	int (*pthread_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
} real;

static void find_real(void)
{
	if (real.malloc)
		return;
	real.pthread_create = dlsym(RTLD_NEXT, "pthread_create");
	real.mmap = dlsym(RTLD_NEXT, "mmap");
	real.posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
	real.aligned_alloc = dlsym(RTLD_NEXT, "aligned_alloc");
	real.reallocarray = dlsym(RTLD_NEXT, "reallocarray");
	real.realloc = dlsym(RTLD_NEXT, "realloc");
	real.calloc = dlsym(RTLD_NEXT, "calloc");
	real.malloc = dlsym(RTLD_NEXT, "malloc");
}

static int note_file(struct dl_phdr_info *info, size_t size, void *unused)
{
	struct file *file = &files[file_count];
	(void)size;
	(void)unused;
	*file = (struct file){.base = info->dlpi_addr, .begin = UINTPTR_MAX};
	file->is_sanitizer = strstr(info->dlpi_name, "san.so") != NULL;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t begin = info->dlpi_addr + segment->p_vaddr;
		if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X))
			continue;
		file->begin = begin < file->begin ? begin : file->begin;
		file->end = begin + segment->p_memsz;
	}
	return ++file_count == FILES;
}

__attribute__((constructor)) static void begin(void)
{
	const char *name = getenv("ALLOCATIONS");
	int fd = name ? open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	void *frames[DEPTH];
	find_real();
	if (fd < 0 || ftruncate(fd, sizeof(*orders)))
		abort();
	dl_iterate_phdr(note_file, NULL);
	backtrace(frames, DEPTH); /* The first one loads a library. */
	struct orders *mapped = real.mmap(NULL, sizeof(*orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mapped == MAP_FAILED)
		abort();
	close(fd);
	unsetenv("ALLOCATIONS");
	unsetenv("LD_PRELOAD");
	orders = mapped;
}

static uint64_t place_of(const void *address)
{
	uintptr_t at = (uintptr_t)address - 1; /* In the call, not behind it. */
	for (unsigned i = 0; i < file_count; i++)
		if (at >= files[i].begin && at < files[i].end)
			return PLACE(i, at - files[i].base);
	return PLACE(NO_FILE, 0); /* Code that LuaJIT has made. */
}

/* Code that was made at run time has no fixed place. A path through a sanitizer, which ends when it gets none, is empty. */
static __attribute__((noinline)) struct path find_places(void)
{
	struct path path = {.hash = 14695981039346656037ull};
	void *frames[DEPTH + OWN_FRAMES];
	int count = backtrace(frames, DEPTH + OWN_FRAMES);
	for (int i = OWN_FRAMES; i < count; i++) {
		uint64_t place = place_of(frames[i]);
		if (place != PLACE(NO_FILE, 0) && files[place >> 48].is_sanitizer)
			return (struct path){0};
		path.places[i - OWN_FRAMES] = place;
		if (place != PLACE(NO_FILE, 0))
			path.hash = (path.hash ^ place) * 1099511628211ull;
	}
	return path;
}

static struct path *note_path(const struct path *met)
{
	uint32_t count = orders->path_count;
	for (uint32_t i = 0; i < count; i++)
		if (orders->paths[i].hash == met->hash)
			return &orders->paths[i];
	if (count == PATHS)
		abort();
	orders->paths[count] = *met;
	orders->path_count++;
	return &orders->paths[count];
}

static uint64_t inner_place(const struct path *path)
{
	for (unsigned i = 0; i < DEPTH && path->places[i]; i++)
		if (path->places[i] >> 48 == 0)
			return path->places[i];
	return 0;
}

static bool is_wanted(const struct path *path)
{
	uint32_t number = ++orders->met;
	if (orders->failed == 0)
		return number == orders->nth || path->hash == orders->path ||
		       (orders->place && inner_place(path) == orders->place);
	if (orders->failed == 1 && path->hash == orders->then)
		return true;
	return orders->more > 0 && orders->more-- > 0;
}

/* Whether this allocation is to fail; errno is set then. */
static __attribute__((noinline)) bool fails(void)
{
	bool wanted = false;
	find_real();
	if (inside || !orders || !orders->armed)
		return false;
	inside = true;
	struct path met = find_places();
	pthread_mutex_lock(&lock);
	struct path *path = met.hash ? note_path(&met) : NULL;
	wanted = path && is_wanted(path);
	if (wanted) {
		path->failed++;
		orders->failed++;
	}
	pthread_mutex_unlock(&lock);
	inside = false;
	if (wanted)
		errno = ENOMEM;
	return wanted;
}

void *malloc(size_t size)
{
	return fails() ? NULL : real.malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return fails() ? NULL : real.calloc(count, size);
}

void *realloc(void *block, size_t size)
{
	return size && fails() ? NULL : real.realloc(block, size);
}

void *reallocarray(void *block, size_t count, size_t size)
{
	return fails() ? NULL : real.reallocarray(block, count, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return fails() ? NULL : real.aligned_alloc(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
	return fails() ? ENOMEM : real.posix_memalign(block, alignment, size);
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	bool failed = (flags & MAP_ANONYMOUS) && fails();
	find_real();
	return failed ? MAP_FAILED : real.mmap(address, length, protection, flags, fd, offset);
}

int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attributes, void *(*run)(void *),
		   void *restrict argument)
{
	return fails() ? EAGAIN : real.pthread_create(thread, attributes, run, argument);
}
