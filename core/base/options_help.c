/*
 * The help: the tables of options_flags.c, laid out for a terminal of 80 columns.
 *
 * Bounds come from the tables and defaults from lp_command_line_init, so the help says what the program does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/options.h"
#include "base/options_flags.h"

enum { COLUMNS = 80, NAME_COLUMNS = 24 };

const char lp_options_introduction[] = "limpet hands each connection to the worker process that it belongs to. A Lua\n"
				       "policy chooses; the worker then talks to the client itself.\n";

const char lp_options_operation[] = "Signals to a running balancer:\n"
				    "  HUP        load the policies again; connections and sessions stay\n"
				    "  TERM, INT  stop: take no more connections, let the workers finish; a second\n"
				    "             one stops at once\n"
				    "  QUIT       stop at once\n"
				    "\n"
				    "Exit status:\n"
				    "  0  done, or stopped by a signal\n"
				    "  1  failed: it could not start, or no worker was ever ready (--start-timeout)\n"
				    "  2  wrong usage, or a policy that does not load; nothing was started\n";

/* Print text from `column` on in lines of at most COLUMNS, broken at blanks. */
static void print_wrapped(FILE *out, const char *text, int column)
{
	int room = COLUMNS - column;

	while ((int)strlen(text) > room) {
		int end = room;

		while (text[end] != ' ' && end > 0)
			end--;
		fprintf(out, "%.*s\n%*s", end, text, column, "");
		text += end + 1;
	}
	fprintf(out, "%s\n", text);
}

/* What a flag is if it is not given, as its user would write it; "" when there is nothing to tell. */
static void describe_default(const struct lp_flag *flag, const struct lp_command_line *defaults, char *text,
			     size_t size)
{
	const char *field = (const char *)defaults + flag->field;
	char number[LP_FLAG_TEXT_SIZE];

	text[0] = '\0';
	if (flag->kind == LP_FLAG_CHOICE || (flag->kind == LP_FLAG_TEXT && *(const char *const *)field)) {
		snprintf(text, size, " (default %s)", *(const char *const *)field);
	} else if (flag->kind >= LP_FLAG_NUMBER && flag->kind <= LP_FLAG_DURATION && *(const uint32_t *)field != 0) {
		lp_flag_format(flag->kind, *(const uint32_t *)field, number);
		snprintf(text, size, " (default %s)", number);
	}
}

void lp_flag_explain(const struct lp_flag *flag, const struct lp_command_line *defaults, char *text, size_t size)
{
	char choices[160] = "";
	char number[32];

	if (flag->kind == LP_FLAG_CHOICE)
		lp_flag_describe(flag, choices, sizeof(choices));
	describe_default(flag, defaults, number, sizeof(number));
	snprintf(text, size, "%s%s%s%s", flag->help, *choices ? "; " : "", choices, number);
}

static void print_flag(FILE *out, const struct lp_flag *flag, const struct lp_command_line *defaults)
{
	char text[LP_FLAG_HELP_SIZE];
	int width;

	if (flag->kind == LP_FLAG_HEADING) {
		fprintf(out, "\n%s:\n", flag->name);
		return;
	}
	lp_flag_explain(flag, defaults, text, sizeof(text));
	width = fprintf(out, "  %s%s%s", flag->name, flag->value ? " " : "", flag->value ? flag->value : "");
	if (width >= NAME_COLUMNS) {
		fprintf(out, "\n");
		width = 0;
	}
	fprintf(out, "%*s", NAME_COLUMNS - width, "");
	print_wrapped(out, text, NAME_COLUMNS);
}

static void print_usage(FILE *out, const struct lp_command_entry *command)
{
	fprintf(out, "limpet %s%s%s\n", command->name, *command->arguments ? " " : "", command->arguments);
}

static void print_command(FILE *out, const struct lp_command_entry *command)
{
	struct lp_command_line defaults;

	lp_command_line_init(&defaults);
	fprintf(out, "limpet %s: %s\n\nUsage: ", command->name, command->summary);
	print_usage(out, command);
	if (command->examples)
		fprintf(out, "\n%s", command->examples);
	if (command->flag_count > 0 && command->flags[0].kind != LP_FLAG_HEADING)
		fprintf(out, "\n");
	for (size_t i = 0; i < command->flag_count; i++)
		print_flag(out, &command->flags[i], &defaults);
	if (command->notes)
		fprintf(out, "\n%s", command->notes);
}

static void print_overview(FILE *out)
{
	fprintf(out, "%s\nCommands:\n", lp_options_introduction);
	for (size_t i = 0; i < LP_COMMANDS; i++)
		fprintf(out, "  %-9s %s\n", lp_command_entries[i].name, lp_command_entries[i].summary);
	fprintf(out, "\nUsage:\n");
	for (size_t i = 0; i < LP_COMMANDS; i++) {
		fprintf(out, "  ");
		print_usage(out, &lp_command_entries[i]);
	}
	fprintf(out,
		"\nExample: four processes of a Socket.IO server, each session always at one\n"
		"  limpet run --listen :3000 --workers 4 --policy sid -- node server.js\n\n%s",
		lp_options_operation);
}

char *lp_options_help(enum lp_command command)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	bool failed;

	if (!out)
		return NULL;
	if (command == LP_COMMAND_HELP)
		print_overview(out);
	else
		print_command(out, &lp_command_entries[command]);
	failed = ferror(out);
	if (fclose(out) != 0 || failed) {
		free(text);
		return NULL;
	}
	return text;
}
