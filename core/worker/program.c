/*
 * A dynamic program names its interpreter (ld.so) in its ELF program headers, and that is what loads LD_PRELOAD: glibc's
 * loads our library, musl's cannot. For programs with rights of their own the kernel sets AT_SECURE, and ld.so then passes
 * over LD_PRELOAD.
 */
#include "worker/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Scripts whose interpreter is a script, at most. */
#define SCRIPTS_MAX 4

#define LINE_MAX_BYTES 256

#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OUR_MACHINE EM_AARCH64
#else
#define OUR_MACHINE EM_NONE
#endif

static bool is_file(const char *path)
{
	struct stat status;
	return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

static bool is_executable(const char *path)
{
	return is_file(path) && access(path, X_OK) == 0; /* Folders, too, have that right. */
}

bool lp_program_find(const char *file, char path[PATH_MAX])
{
	const char *folders = getenv("PATH");
	if (strchr(file, '/'))
		return snprintf(path, PATH_MAX, "%s", file) < PATH_MAX && is_executable(path);
	while (folders && *folders) {
		size_t length = strcspn(folders, ":");
		snprintf(path, PATH_MAX, "%.*s/%s", (int)length, folders, file);
		if (is_executable(path))
			return true;
		folders += length + (folders[length] == ':');
	}
	return false;
}

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* The first line of a script behind its "#!"; false: it is no script. */
static bool read_first_line(const char *path, char line[LINE_MAX_BYTES])
{
	FILE *stream = fopen(path, "re");
	if (!stream)
		return false;
	bool is_script = fgets(line, LINE_MAX_BYTES, stream) && strncmp(line, "#!", 2) == 0;
	fclose(stream);
	if (is_script)
		memmove(line, line + 2, strlen(line) - 1);
	return is_script;
}

/* The program that a first line names; behind env the first word that is neither an option of its nor a variable. */
static const char *named_in(char *line)
{
	char *rest = NULL;
	const char *word = strtok_r(line, " \t\r\n", &rest);
	if (!word || strcmp(name_of(word), "env") != 0)
		return word;
	do
		word = strtok_r(NULL, " \t\r\n", &rest);
	while (word && (word[0] == '-' || strchr(word, '=')));
	return word;
}

bool lp_program_interpreter(const char *file, char path[PATH_MAX])
{
	char line[LINE_MAX_BYTES];
	bool found = lp_program_find(file, path);
	for (int i = 0; found && i < SCRIPTS_MAX && read_first_line(path, line); i++) {
		const char *next = named_in(line);
		found = next && lp_program_find(next, path);
	}
	return found;
}

/* Why a file with a path cannot be run. */
static int refuse_path(const char *file, struct lp_error *error)
{
	if (is_file(file))
		return lp_error_set(
			error, -EACCES,
			"%s: no such program: the file is not executable; name what runs it, such as node %s, or "
			"chmod +x %s",
			file, file, file);
	if (access(file, F_OK) == 0)
		return lp_error_set(error, -EACCES, "%s: no such program: it is a folder", file);
	return lp_error_set(error, -ENOENT, "%s: no such program: there is no such file", file);
}

int lp_program_check(const char *file, struct lp_error *error)
{
	char path[PATH_MAX];
	char line[LINE_MAX_BYTES];
	if (!lp_program_find(file, path) && strchr(file, '/'))
		return refuse_path(file, error);
	if (!lp_program_find(file, path) && is_file(file))
		return lp_error_set(
			error, -ENOENT,
			"%s: no such program in PATH, but there is such a file here; name what runs it, such as "
			"node %s, or write ./%s",
			file, file, file);
	if (!lp_program_find(file, path))
		return lp_error_set(error, -ENOENT,
				    "%s: no such program; name it by its path, or add its folder to PATH", file);
	if (!read_first_line(path, line))
		return 0;
	char *rest = NULL;
	const char *interpreter = strtok_r(line, " \t\r\n", &rest);
	if (!interpreter || is_executable(interpreter))
		return 0;
	return lp_error_set(error, -ENOENT, "%s: its first line says that %s runs it, but there is no such program",
			    path, interpreter);
}

static bool is_named_node(const char *file)
{
	return strcmp(name_of(file), "node") == 0 || strcmp(name_of(file), "nodejs") == 0;
}

bool lp_program_is_node(const char *file)
{
	char path[PATH_MAX];
	return is_named_node(file) || (lp_program_interpreter(file, path) && is_named_node(path));
}

static bool names_musl(int fd, const Elf64_Phdr *part)
{
	char interpreter[64] = "";
	size_t size = part->p_filesz < sizeof(interpreter) - 1 ? part->p_filesz : sizeof(interpreter) - 1;
	return pread(fd, interpreter, size, (off_t)part->p_offset) > 0 && strstr(interpreter, "ld-musl");
}

/* Of an open program. What reads like none has no obstacle that is known here. */
static enum lp_obstacle read_obstacle(int fd)
{
	Elf64_Ehdr header;
	if (pread(fd, &header, sizeof(header), 0) != sizeof(header) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
		return LP_OBSTACLE_NONE;
	bool is_ours = OUR_MACHINE == EM_NONE || header.e_machine == EM_NONE || header.e_machine == OUR_MACHINE;
	if (header.e_ident[EI_CLASS] != ELFCLASS64 || !is_ours)
		return LP_OBSTACLE_MACHINE;
	if (header.e_phentsize != sizeof(Elf64_Phdr))
		return LP_OBSTACLE_NONE;
	for (unsigned i = 0; i < header.e_phnum; i++) {
		Elf64_Phdr part;
		off_t at = (off_t)(header.e_phoff + i * sizeof(part));
		if (pread(fd, &part, sizeof(part), at) != sizeof(part))
			return LP_OBSTACLE_NONE;
		if (part.p_type == PT_INTERP)
			return names_musl(fd, &part) ? LP_OBSTACLE_LIBC : LP_OBSTACLE_NONE;
	}
	return LP_OBSTACLE_STATIC;
}

static bool is_privileged(int fd, bool as_root)
{
	struct stat stat;
	if (fstat(fd, &stat))
		return false;
	bool another_user = stat.st_mode & S_ISUID && stat.st_uid != geteuid();
	bool another_group = stat.st_mode & S_ISGID && stat.st_mode & S_IXGRP && stat.st_gid != getegid();
	bool capable = !as_root && fgetxattr(fd, "security.capability", NULL, 0) > 0;
	return another_user || another_group || capable;
}

enum lp_obstacle lp_program_obstacle(const char *file, bool as_root, char path[PATH_MAX])
{
	int fd = lp_program_interpreter(file, path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return LP_OBSTACLE_NONE;
	enum lp_obstacle obstacle = read_obstacle(fd);
	if (obstacle == LP_OBSTACLE_NONE && is_privileged(fd, as_root))
		obstacle = LP_OBSTACLE_PRIVILEGED;
	close(fd);
	return obstacle;
}

void lp_program_explain(enum lp_obstacle obstacle, const char *path, char *text, size_t size)
{
	switch (obstacle) {
	case LP_OBSTACLE_NONE:
		snprintf(text, size, "%s", path);
		break;
	case LP_OBSTACLE_STATIC:
		snprintf(
			text, size,
			"%s is linked statically, as programs in Go mostly are: liblimpet-preload.so reaches only what "
			"it starts in turn; use one that is linked dynamically, or let it speak the native dialect "
			"(limpet/worker.h)",
			path);
		break;
	case LP_OBSTACLE_LIBC:
		snprintf(text, size,
			 "%s is built for musl, and liblimpet-preload.so for glibc: it is not loaded; use one that is "
			 "built for glibc",
			 path);
		break;
	case LP_OBSTACLE_MACHINE:
		snprintf(text, size,
			 "%s is built for another kind of machine than liblimpet-preload.so, which is not loaded; use "
			 "one "
			 "for this machine",
			 path);
		break;
	case LP_OBSTACLE_PRIVILEGED:
		snprintf(
			text, size,
			"%s has capabilities or another user's rights (setcap, chmod u+s), so that the system loads no "
			"library into it; limpet binds the port, so it needs none: setcap -r %s",
			path, path);
		break;
	}
}
