/*
 * Writes what the program knows about itself for readers outside of it: manual pages and shell completions, from the same table
 * of commands and flags that the parser and the help read (base/options_flags.h). So a flag is described once.
 *
 *     describe COMMAND FILE         write the manual page of `limpet COMMAND`, as Markdown
 *     describe limpet FILE          write the overview
 *     describe --list               print the commands that have a page, one per line
 *     describe --complete SHELL     print the completions for bash, zsh or fish
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/options_flags.h"
#include "manual/completions.h"

/* Text in which no character means anything to Markdown. */
static void print_plain(const char *text)
{
	for (; *text; text++) {
		if (strchr("\\`*_<>[]|#", *text))
			putchar('\\');
		putchar(*text);
	}
}

static bool has_page(const struct lp_command_entry *command)
{
	return strcmp(command->name, "help") != 0 && strcmp(command->name, "version") != 0;
}

static void print_synopsis(const struct lp_command_entry *command)
{
	printf("**limpet %s** ", command->name);
	print_plain(command->arguments);
	printf("\n\n");
}

static void print_value(const struct lp_flag *flag)
{
	printf("**%s**", flag->name);
	if (!flag->value)
		return;
	printf(" *");
	print_plain(flag->value);
	printf("*");
}

static void print_flag(const struct lp_flag *flag, const struct lp_command_line *defaults)
{
	char text[LP_FLAG_HELP_SIZE];

	if (flag->kind == LP_FLAG_HEADING) {
		printf("### %s\n\n", flag->name);
		return;
	}
	print_value(flag);
	printf("\n: ");
	lp_flag_explain(flag, defaults, text, sizeof(text));
	print_plain(text);
	printf("\n\n");
}

static void print_command(const struct lp_command_entry *command)
{
	struct lp_command_line defaults;

	lp_command_line_init(&defaults);
	printf("# NAME\n\nlimpet-%s - %s\n\n# SYNOPSIS\n\n", command->name, command->summary);
	print_synopsis(command);
	if (command->flag_count)
		printf("# OPTIONS\n\n");
	for (size_t i = 0; i < command->flag_count; i++)
		print_flag(&command->flags[i], &defaults);
	if (command->notes)
		printf("# NOTES\n\n```\n%s```\n\n", command->notes);
	if (command->examples)
		printf("# EXAMPLES\n\n```\n%s```\n\n", strchr(command->examples, '\n') + 1);
	printf("# SEE ALSO\n\nlimpet(1), limpet-policy(7), limpet-operations(7)\n");
}

static void print_overview(void)
{
	printf("# NAME\n\nlimpet - scriptable balancer for sticky connections\n\n# SYNOPSIS\n\n");
	for (size_t i = 0; i < LP_COMMANDS; i++)
		print_synopsis(&lp_command_entries[i]);
	printf("# DESCRIPTION\n\n%s\n# COMMANDS\n\n", lp_options_introduction);
	for (size_t i = 0; i < LP_COMMANDS; i++) {
		printf("**%s**\n: ", lp_command_entries[i].name);
		print_plain(lp_command_entries[i].summary);
		printf("%s%s%s\n\n", has_page(&lp_command_entries[i]) ? "; limpet-" : "",
		       has_page(&lp_command_entries[i]) ? lp_command_entries[i].name : "",
		       has_page(&lp_command_entries[i]) ? "(1)" : "");
	}
	printf("# SIGNALS AND EXIT STATUS\n\n```\n%s```\n\n", lp_options_operation);
	printf("# SEE ALSO\n\nlimpet-run(1), limpet-policy(7), limpet-dialects(7), limpet-sessions(7), "
	       "limpet-operations(7), limpet-reliability(7), limpet-security(7), limpet-migration(7), "
	       "limpet-benchmarks(7), limpet-internals(7)\n");
}

static const struct lp_command_entry *find_command(const char *name)
{
	for (size_t i = 0; i < LP_COMMANDS; i++)
		if (has_page(&lp_command_entries[i]) && strcmp(name, lp_command_entries[i].name) == 0)
			return &lp_command_entries[i];
	return NULL;
}

static void print_list(void)
{
	for (size_t i = 0; i < LP_COMMANDS; i++)
		if (has_page(&lp_command_entries[i]))
			puts(lp_command_entries[i].name);
}

int main(int argc, char **argv)
{
	const struct lp_command_entry *command = argc == 3 ? find_command(argv[1]) : NULL;
	bool overview = argc == 3 && strcmp(argv[1], "limpet") == 0;

	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		print_list();
	} else if (argc == 3 && strcmp(argv[1], "--complete") == 0 && lp_completions_print(argv[2])) {
		/* It is printed. */
	} else if ((command || overview) && freopen(argv[2], "w", stdout)) {
		if (overview)
			print_overview();
		else
			print_command(command);
	} else {
		fprintf(stderr, "usage: describe limpet|COMMAND FILE, describe --list, or describe --complete SHELL\n");
		return EXIT_FAILURE;
	}
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
