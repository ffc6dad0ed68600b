/*
 * One script per shell. Each knows the commands, their flags, and what a flag takes: one of a few words, a policy, or a file. What
 * follows "--" is a program and its arguments.
 *
 * A flag's description is the first phrase of its help, because a menu has one line for each.
 */
#include "manual/completions.h"

#include <stdio.h>
#include <string.h>

#include "base/options_flags.h"
#include "policy/included.h"

/* Bytes of a description. */
#define PHRASE_MAX 90

/* What a value, or an argument, can be. */
struct takes {
	const char *const *choices; /* NULL: there are none. */
	bool policies;
	bool files;
};

static struct takes value_of(const struct lp_flag *flag)
{
	const char *value = flag->value ? flag->value : "";

	return (struct takes){
		.choices = flag->kind == LP_FLAG_CHOICE ? flag->choices : NULL,
		.policies = strcmp(value, "NAME|FILE") == 0,
		.files = strstr(value, "FILE") || strstr(value, "FOLDER") || strcmp(value, "PATH") == 0,
	};
}

static struct takes arguments_of(const struct lp_command_entry *command)
{
	return (struct takes){
		.policies = command->files && strcmp(command->files, "a policy") == 0,
		.files = strstr(command->arguments, "FILE") != NULL,
	};
}

static bool takes_command(const struct lp_command_entry *command)
{
	return strstr(command->arguments, "COMMAND") != NULL;
}

static bool takes_program(const struct lp_command_entry *command)
{
	return strstr(command->arguments, "-- PROGRAM") != NULL;
}

/* The words that a value can be, with blanks between them. */
static void print_words(struct takes takes)
{
	const char *blank = "";

	for (size_t i = 0; takes.choices && takes.choices[i]; i++, blank = " ")
		printf("%s%s", blank, takes.choices[i]);
	for (size_t i = 0; takes.policies && lp_included_policies[i].name; i++, blank = " ")
		printf("%s%s", blank, lp_included_policies[i].name);
}

static void print_commands(const char *between)
{
	for (size_t i = 0; i < LP_COMMANDS; i++)
		printf("%s%s", i ? between : "", lp_command_entries[i].name);
}

/* Text between single quotes, with a backslash before each of the special characters. */
static void print_quoted(const char *text, size_t length, const char *special)
{
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '\'')
			printf("'\\'"); /* Leaves the quotes for a quoted quote; the next one enters them. */
		else if (strchr(special, text[i]))
			putchar('\\');
		putchar(text[i]);
	}
}

/* The first phrase of a help. */
static void print_phrase(const char *help, const char *special)
{
	static const char *const ends[] = {"; ", " (", ". "};
	size_t length = strlen(help);
	bool is_cut;

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		const char *end = strstr(help, ends[i]);

		if (end && (size_t)(end - help) < length)
			length = (size_t)(end - help);
	}
	is_cut = length > PHRASE_MAX;
	if (is_cut)
		for (length = PHRASE_MAX; length > 1 && help[length] != ' ';)
			length--;
	while (length > 0 && strchr(" ,:", help[length - 1]))
		length--;
	print_quoted(help, length, special);
	if (is_cut)
		printf("…");
}

/* bash */

static void print_bash_value(const struct lp_command_entry *command, const struct lp_flag *flag)
{
	struct takes takes = value_of(flag);

	printf("\t'%s %s') words='", command->name, flag->name);
	print_words(takes);
	printf("' files=%s ;;\n", takes.files ? "yes" : "");
}

static void print_bash_arguments(const struct lp_command_entry *command)
{
	struct takes takes = arguments_of(command);

	printf("\t%s) words='", command->name);
	if (takes_command(command))
		print_commands(" ");
	print_words(takes);
	printf("' files=%s flags='", takes.files ? "yes" : "");
	for (size_t i = 0; i < command->flag_count; i++)
		if (command->flags[i].kind != LP_FLAG_HEADING)
			printf("%s ", command->flags[i].name);
	printf("--help' ;;\n");
}

static void print_bash(void)
{
	printf("# Completions of limpet for bash.\n"
	       "_limpet() {\n"
	       "\tlocal current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} words= files= flags= i\n"
	       "\tCOMPREPLY=()\n"
	       "\tif ((COMP_CWORD == 1)); then\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen -W '");
	print_commands(" ");
	printf("' -- \"$current\")\n"
	       "\t\treturn\n"
	       "\tfi\n"
	       "\tfor ((i = 2; i < COMP_CWORD; i++)); do\n"
	       "\t\t[[ ${COMP_WORDS[i]} == -- ]] || continue\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen -A $([[ $i -eq COMP_CWORD-1 ]] && echo command || echo file) "
	       "-- \"$current\")\n"
	       "\t\treturn\n"
	       "\tdone\n"
	       "\t# --flag=value comes as three words.\n"
	       "\tif [[ $current == = ]]; then\n"
	       "\t\tcurrent=\n"
	       "\telif [[ $previous == = ]]; then\n"
	       "\t\tprevious=${COMP_WORDS[COMP_CWORD-2]}\n"
	       "\tfi\n"
	       "\tcase \"${COMP_WORDS[1]} $previous\" in\n");
	for (size_t i = 0; i < LP_COMMANDS; i++)
		for (size_t j = 0; j < lp_command_entries[i].flag_count; j++)
			if (lp_command_entries[i].flags[j].value)
				print_bash_value(&lp_command_entries[i], &lp_command_entries[i].flags[j]);
	printf("\t*)\n\tcase ${COMP_WORDS[1]} in\n");
	for (size_t i = 0; i < LP_COMMANDS; i++)
		print_bash_arguments(&lp_command_entries[i]);
	printf("\tesac ;;\n"
	       "\tesac\n"
	       "\t[[ $current != -* || -z $flags ]] || { words=$flags; files=; }\n"
	       "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" ${files:+-f} -- \"$current\")\n"
	       "}\n"
	       "complete -o filenames -F _limpet limpet\n");
}

/* zsh */

/* What follows the message of an argument: how to complete it. */
static void print_zsh_action(struct takes takes)
{
	bool words = takes.choices || takes.policies;

	if (words && takes.files) {
		printf("{ compadd -- ");
		print_words(takes);
		printf("; _files }");
	} else if (words) {
		printf("(");
		print_words(takes);
		printf(")");
	} else {
		printf("%s", takes.files ? "_files" : " ");
	}
}

static void print_zsh_flag(const struct lp_flag *flag)
{
	if (flag->kind == LP_FLAG_HEADING)
		return;
	printf("\t\t\t'%s%s%s[", flag->kind == LP_FLAG_LIST ? "*" : "", flag->name, flag->value ? "=" : "");
	print_phrase(flag->help, "\\[]:");
	printf("]");
	if (flag->value) {
		printf(":");
		print_quoted(flag->value, strlen(flag->value), ":");
		printf(":");
		print_zsh_action(value_of(flag));
	}
	printf("' \\\n");
}

static void print_zsh_command(const struct lp_command_entry *command)
{
	struct takes takes = arguments_of(command);

	printf("\t\t%s)\n\t\t\t_arguments -S \\\n", command->name);
	for (size_t i = 0; i < command->flag_count; i++)
		print_zsh_flag(&command->flags[i]);
	printf("\t\t\t'--help[explain this command]'");
	if (takes_program(command)) {
		printf(" \\\n\t\t\t'(-)1:program: _command_names -e' \\\n\t\t\t'*::argument:_normal'");
	} else if (takes_command(command)) {
		printf(" \\\n\t\t\t'1:command:(");
		print_commands(" ");
		printf(")'");
	} else if (takes.files || takes.policies) {
		printf(" \\\n\t\t\t'*:file:");
		print_zsh_action(takes);
		printf("'");
	}
	printf("\n\t\t\t;;\n");
}

static void print_zsh(void)
{
	printf("#compdef limpet\n"
	       "# Completions of limpet for zsh.\n"
	       "_limpet() {\n"
	       "\tlocal state\n"
	       "\tlocal -a commands\n"
	       "\tcommands=(\n");
	for (size_t i = 0; i < LP_COMMANDS; i++) {
		printf("\t\t'%s:", lp_command_entries[i].name);
		print_phrase(lp_command_entries[i].summary, "\\:");
		printf("'\n");
	}
	printf("\t)\n"
	       "\t_arguments -C '1:command:->command' '*::argument:->argument'\n"
	       "\tcase $state in\n"
	       "\tcommand) _describe command commands ;;\n"
	       "\targument)\n"
	       "\t\tcase $words[1] in\n");
	for (size_t i = 0; i < LP_COMMANDS; i++)
		print_zsh_command(&lp_command_entries[i]);
	printf("\t\tesac ;;\n"
	       "\tesac\n"
	       "}\n"
	       "_limpet \"$@\"\n");
}

/* fish */

static void print_fish_value(struct takes takes)
{
	printf(" -r%s", takes.files ? " -F" : " -f");
	if (!takes.choices && !takes.policies)
		return;
	printf(" -a '");
	print_words(takes);
	printf("'");
}

static void print_fish_flag(const struct lp_command_entry *command, const struct lp_flag *flag)
{
	if (flag->kind == LP_FLAG_HEADING)
		return;
	printf("complete -c limpet -n '__limpet_is %s' -l %s", command->name, flag->name + strlen("--"));
	if (flag->value)
		print_fish_value(value_of(flag));
	printf(" -d '");
	print_phrase(flag->help, "\\");
	printf("'\n");
}

static void print_fish_command(const struct lp_command_entry *command)
{
	struct takes takes = arguments_of(command);

	printf("complete -c limpet -n __limpet_has_none -a %s -d '", command->name);
	print_phrase(command->summary, "\\");
	printf("'\n");
	for (size_t i = 0; i < command->flag_count; i++)
		print_fish_flag(command, &command->flags[i]);
	printf("complete -c limpet -n '__limpet_is %s' -l help -d 'explain this command'\n", command->name);
	if (takes_command(command)) {
		printf("complete -c limpet -n '__limpet_is %s' -a '", command->name);
		print_commands(" ");
		printf("'\n");
	}
	if (takes.policies) {
		printf("complete -c limpet -n '__limpet_is %s' -a '", command->name);
		print_words(takes);
		printf("'\n");
	}
	if (takes.files)
		printf("complete -c limpet -n '__limpet_is %s' -F\n", command->name);
}

static void print_fish(void)
{
	printf("# Completions of limpet for fish.\n"
	       "function __limpet_has_none\n"
	       "\ttest (count (commandline -opc)) -eq 1\n"
	       "end\n"
	       "function __limpet_is\n"
	       "\tset -l words (commandline -opc)\n"
	       "\ttest (count $words) -ge 2; and test $words[2] = $argv[1]; and not contains -- -- $words\n"
	       "end\n"
	       "function __limpet_has_program\n"
	       "\tcontains -- -- (commandline -opc)\n"
	       "end\n"
	       "complete -c limpet -f\n"
	       "complete -c limpet -n __limpet_has_program -F\n");
	for (size_t i = 0; i < LP_COMMANDS; i++)
		print_fish_command(&lp_command_entries[i]);
}

bool lp_completions_print(const char *shell)
{
	static const struct {
		const char *shell;
		void (*print)(void);
	} scripts[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};

	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++)
		if (strcmp(shell, scripts[i].shell) == 0) {
			scripts[i].print();
			return true;
		}
	return false;
}
