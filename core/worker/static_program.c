/*
 * A dynamic program names its interpreter (ld.so) in its ELF program headers, and that is what loads LD_PRELOAD.
 */
#include "worker/static_program.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool reads_as_static(int fd)
{
	Elf64_Ehdr header;
	if (pread(fd, &header, sizeof(header), 0) != sizeof(header) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
	    header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_phentsize != sizeof(Elf64_Phdr))
		return false;
	for (unsigned i = 0; i < header.e_phnum; i++) {
		Elf64_Phdr part;
		off_t at = (off_t)(header.e_phoff + i * sizeof(part));
		if (pread(fd, &part, sizeof(part), at) != sizeof(part) || part.p_type == PT_INTERP)
			return false;
	}
	return true;
}

static bool is_static(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool found = reads_as_static(fd);
	close(fd);
	return found;
}

bool lp_is_static_program(const char *file)
{
	const char *path = strchr(file, '/') ? "" : getenv("PATH");
	if (path && !*path)
		return is_static(file);
	while (path && *path) {
		char candidate[PATH_MAX];
		size_t length = strcspn(path, ":");
		snprintf(candidate, sizeof(candidate), "%.*s/%s", (int)length, path, file);
		if (access(candidate, X_OK) == 0)
			return is_static(candidate);
		path += length + (path[length] == ':');
	}
	return false;
}
