/* Which programs a preloaded library reaches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "worker/program.h"

static char path[PATH_MAX];

static void programs_of_the_system_have_no_obstacle(void **state)
{
	(void)state;
	assert_int_equal(lp_program_obstacle("/proc/self/exe", false, path), LP_OBSTACLE_NONE);
	assert_int_equal(lp_program_obstacle("sh", false, path), LP_OBSTACLE_NONE);
}

static void what_is_not_there_has_none(void **state)
{
	(void)state;
	assert_int_equal(lp_program_obstacle("/no/such/program", false, path), LP_OBSTACLE_NONE);
	assert_int_equal(lp_program_obstacle("no-such-program-anywhere", false, path), LP_OBSTACLE_NONE);
}

/* The header of a program, with one part of a kind, and behind it an interpreter's path. */
static void write_program(const char *file, uint32_t kind, const char *interpreter, mode_t mode)
{
	Elf64_Ehdr header = {.e_phoff = sizeof(header), .e_phnum = 1, .e_phentsize = sizeof(Elf64_Phdr)};
	Elf64_Phdr part = {.p_type = kind, .p_offset = sizeof(header) + sizeof(part), .p_filesz = strlen(interpreter)};
	memcpy(header.e_ident, ELFMAG, SELFMAG);
	header.e_ident[EI_CLASS] = ELFCLASS64;
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0700);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, &header, sizeof(header)), sizeof(header));
	assert_int_equal(write(fd, &part, sizeof(part)), sizeof(part));
	assert_int_equal(write(fd, interpreter, strlen(interpreter)), strlen(interpreter));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void write_script(const char *file, const char *line)
{
	FILE *script = fopen(file, "we");
	assert_non_null(script);
	fputs(line, script);
	fclose(script);
	assert_int_equal(chmod(file, 0700), 0);
}

static int enter_folder(void **state)
{
	char *folder = strdup("/tmp/limpet-program-XXXXXX");
	*state = folder;
	return !mkdtemp(folder) || chdir(folder);
}

static int leave_folder(void **state)
{
	static const char *const files[] = {"program", "script", "behind", "node"};
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		unlink(files[i]);
	int status = chdir("/") || rmdir(*state);
	free(*state);
	return status;
}

static void the_interpreter_tells(void **state)
{
	(void)state;
	write_program("program", PT_LOAD, "", 0700);
	assert_int_equal(lp_program_obstacle("./program", false, path), LP_OBSTACLE_STATIC);
	assert_string_equal(path, "./program");
	write_program("program", PT_INTERP, "/lib64/ld-linux-x86-64.so.2", 0700);
	assert_int_equal(lp_program_obstacle("./program", false, path), LP_OBSTACLE_NONE);
	write_program("program", PT_INTERP, "/lib/ld-musl-x86_64.so.1", 0700);
	assert_int_equal(lp_program_obstacle("./program", false, path), LP_OBSTACLE_LIBC);
	assert_int_equal(truncate("program", 70), 0);
	assert_int_equal(lp_program_obstacle("./program", false, path), LP_OBSTACLE_NONE);
}

static void a_program_for_another_machine_is_told(void **state)
{
	(void)state;
	write_program("program", PT_INTERP, "/lib/ld-linux.so.2", 0700);
	int fd = open("program", O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, &(unsigned char){ELFCLASS32}, 1, EI_CLASS), 1);
	close(fd);
	assert_int_equal(lp_program_obstacle("./program", false, path), LP_OBSTACLE_MACHINE);
}

/* Another user's file, and one with capabilities, take root to make. */
static void rights_of_its_own_keep_the_library_out(void **state)
{
	/* VFS_CAP_REVISION_2 with CAP_NET_BIND_SERVICE, permitted and effective. */
	static const unsigned char capability[20] = {1, 0, 0, 2, 0, 4};
	(void)state;
	if (geteuid() != 0)
		skip();
	write_program("program", PT_INTERP, "/lib64/ld-linux-x86-64.so.2", 04755);
	assert_int_equal(lp_program_obstacle("./program", true, path), LP_OBSTACLE_NONE); /* It is ours. */
	assert_int_equal(chown("program", 65534, 65534), 0);
	assert_int_equal(chmod("program", 04755), 0);
	assert_int_equal(lp_program_obstacle("./program", true, path), LP_OBSTACLE_PRIVILEGED);
	assert_int_equal(chmod("program", 0755), 0);
	assert_int_equal(lp_program_obstacle("./program", true, path), LP_OBSTACLE_NONE);
	if (setxattr("program", "security.capability", capability, sizeof(capability), 0))
		return; /* Not on this file system, or not in this container. */
	assert_int_equal(lp_program_obstacle("./program", false, path), LP_OBSTACLE_PRIVILEGED);
	assert_int_equal(lp_program_obstacle("./program", true, path), LP_OBSTACLE_NONE);
}

static void of_a_script_it_is_the_interpreter_that_counts(void **state)
{
	char line[PATH_MAX];
	(void)state;
	write_program("program", PT_LOAD, "", 0700);
	write_script("behind", "#!./program -x\n");
	snprintf(line, sizeof(line), "#!%s/behind\n", (const char *)*state);
	write_script("script", line);
	assert_int_equal(lp_program_obstacle("./script", false, path), LP_OBSTACLE_STATIC);
	assert_string_equal(path, "./program");
	write_script("script", "#!/usr/bin/env -S A=1 ./program\n");
	assert_int_equal(lp_program_obstacle("./script", false, path), LP_OBSTACLE_STATIC);
	write_script("script", "#!/usr/bin/env\n");
	assert_int_equal(lp_program_obstacle("./script", false, path), LP_OBSTACLE_NONE);
	write_script("script", "#!./script\n"); /* Round and round. */
	assert_int_equal(lp_program_obstacle("./script", false, path), LP_OBSTACLE_NONE);
}

static void node_is_known_by_its_name_and_by_scripts(void **state)
{
	(void)state;
	assert_true(lp_program_is_node("node"));
	assert_true(lp_program_is_node("/opt/x/nodejs"));
	assert_false(lp_program_is_node("sh"));
	assert_false(lp_program_is_node("./nodemon.sh"));
	write_program("node", PT_LOAD, "", 0700);
	write_script("script", "#!./node\n");
	assert_true(lp_program_is_node("./script"));
	write_script("script", "#!/bin/sh\nexec node\n");
	assert_false(lp_program_is_node("./script"));
}

static void each_obstacle_is_explained_with_a_way_out(void **state)
{
	char text[1024];
	(void)state;
	for (int i = LP_OBSTACLE_STATIC; i <= LP_OBSTACLE_PRIVILEGED; i++) {
		lp_program_explain((enum lp_obstacle)i, "/opt/program", text, sizeof(text));
		assert_ptr_equal(strstr(text, "/opt/program"), text);
		assert_non_null(strchr(text, ';'));
	}
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(programs_of_the_system_have_no_obstacle),
		cmocka_unit_test(what_is_not_there_has_none),
		IN_A_FOLDER(the_interpreter_tells),
		IN_A_FOLDER(a_program_for_another_machine_is_told),
		IN_A_FOLDER(rights_of_its_own_keep_the_library_out),
		IN_A_FOLDER(of_a_script_it_is_the_interpreter_that_counts),
		IN_A_FOLDER(node_is_known_by_its_name_and_by_scripts),
		cmocka_unit_test(each_obstacle_is_explained_with_a_way_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
