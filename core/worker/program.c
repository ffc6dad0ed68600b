/*
 * A dynamic program names its interpreter (ld.so) in its ELF program headers, and that is what loads LD_PRELOAD.
 */
#include "worker/program.h"

#include <elf.h>
#include <fcntl.h>
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

bool lp_program_find(const char *file, char path[PATH_MAX])
{
	const char *folders = getenv("PATH");
	if (strchr(file, '/'))
		return snprintf(path, PATH_MAX, "%s", file) < PATH_MAX && access(path, X_OK) == 0;
	while (folders && *folders) {
		size_t length = strcspn(folders, ":");
		snprintf(path, PATH_MAX, "%.*s/%s", (int)length, folders, file);
		if (access(path, X_OK) == 0)
			return true;
		folders += length + (folders[length] == ':');
	}
	return false;
}

bool lp_is_static_program(const char *file)
{
	char path[PATH_MAX];
	return lp_program_find(file, path) && is_static(path);
}
