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
#include <unistd.h>

#include "worker/program.h"

static void programs_of_the_system_are_dynamic(void **state)
{
	(void)state;
	assert_false(lp_is_static_program("/proc/self/exe"));
	assert_false(lp_is_static_program("sh"));
}

static void scripts_and_nothing_are_not_static(void **state)
{
	(void)state;
	assert_false(lp_is_static_program(LIMPET_SOURCE_DIR "/tests/run"));
	assert_false(lp_is_static_program("/no/such/program"));
	assert_false(lp_is_static_program("no-such-program-anywhere"));
}

/* The header of a program, with one part of a kind. */
static void write_program(const char *path, uint32_t kind)
{
	Elf64_Ehdr header = {.e_phoff = sizeof(header), .e_phnum = 1, .e_phentsize = sizeof(Elf64_Phdr)};
	Elf64_Phdr part = {.p_type = kind};
	memcpy(header.e_ident, ELFMAG, SELFMAG);
	header.e_ident[EI_CLASS] = ELFCLASS64;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0700);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, &header, sizeof(header)), sizeof(header));
	assert_int_equal(write(fd, &part, sizeof(part)), sizeof(part));
	close(fd);
}

static void a_program_without_an_interpreter_is_static(void **state)
{
	char folder[] = "/tmp/limpet-static-XXXXXX";
	char path[64];
	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/program", folder);
	write_program(path, PT_LOAD);
	assert_true(lp_is_static_program(path));
	write_program(path, PT_INTERP);
	assert_false(lp_is_static_program(path));
	assert_int_equal(truncate(path, 70), 0);
	assert_false(lp_is_static_program(path));
	unlink(path);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(programs_of_the_system_are_dynamic),
		cmocka_unit_test(scripts_and_nothing_are_not_static),
		cmocka_unit_test(a_program_without_an_interpreter_is_static),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
