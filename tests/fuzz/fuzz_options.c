/*
 * Command lines: an argument a line. Whatever they are, they are taken or refused with words; and every number that a
 * flag takes is within its bounds and is read again as it is written.
 */
#include <netdb.h>

#include "base/options.h"
#include "base/options_flags.h"
#include "fuzz.h"

enum { ARGUMENTS_MAX = 64 };

/* Names are not looked up here: there are none. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
	(void)name;
	(void)service;
	(void)hints;
	(void)found;
	return EAI_NONAME;
}

static void check_number(const struct lp_flag *flag, const char *text)
{
	char written[LP_FLAG_TEXT_SIZE];
	uint32_t number, again;

	if (flag->kind != LP_FLAG_NUMBER && flag->kind != LP_FLAG_BYTES && flag->kind != LP_FLAG_DURATION)
		return;
	if (!lp_flag_number(flag, text, &number))
		return;
	FUZZ_CHECK(number >= flag->least && number <= flag->most);
	lp_flag_format(flag->kind, number, written);
	FUZZ_CHECK(lp_flag_number(flag, written, &again) && number == again);
}

/* Every argument, as the value of every flag of every command. */
static void check_numbers(const char *text)
{
	for (size_t i = 0; i < LP_COMMANDS; i++)
		for (size_t j = 0; j < lp_command_entries[i].flag_count; j++)
			check_number(&lp_command_entries[i].flags[j], text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	char *text = fuzz_text(bytes, length);
	char program[] = "limpet";
	char *arguments[ARGUMENTS_MAX + 2] = {program};
	char *rest = text;
	struct lp_command_line line;
	struct lp_error error = {0};
	int count = 1;

	while (rest && count <= ARGUMENTS_MAX)
		arguments[count++] = strsep(&rest, "\n");
	int status = lp_options_parse(count, arguments, &line, &error);

	FUZZ_CHECK(status == 0 || (status == LP_EUSAGE && error.code == status && error.text[0]));
	if (status == 0 && line.command == LP_COMMAND_RUN)
		FUZZ_CHECK(line.options.listen_count > 0 && line.options.command);
	for (int i = 2; i < count; i++)
		check_numbers(arguments[i]);
	lp_options_deinit(&line);
	free(text);
	return 0;
}
