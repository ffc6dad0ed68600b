/*
 * From a command line to struct limpet_options, flag by flag; options_flags.c knows the flags.
 *
 * A flag given twice counts the last time, unless it is a list, so that a wrapper script's defaults can be overridden.
 * What a configuration file says comes first, wherever --config stands, so that the command line has the last word.
 * Everything after "--" is the workers' and is never read. `--help` anywhere before it wins over every mistake.
 */
#include "base/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/did_you_mean.h"
#include "base/options_flags.h"
#include "base/session_rule.h"

#define RUN_EXAMPLE "limpet run --listen :3000 -- node server.js"

/* A command line on its way into a struct lp_command_line. */
struct parser {
	struct lp_command_line *line;
	const struct lp_command_entry *command;
	size_t list_size; /* The most that any list can hold. */
	struct lp_error *error;
};

void limpet_options_init(struct limpet_options *options)
{
	*options = (struct limpet_options){
		.dialect = "auto",
		.node_serialization = "json",
		.stop_with = "auto",
		.forwarded_header = "x-forwarded-for",
		.head_timeout_ms = 10000,
		.max_head_bytes = 16384,
		.max_waiting = 10000,
		.max_per_ip = 256,
		.max_sessions = 1000000,
		.session_wait_ms = 250,
		.policy_time_ms = 50,
		.policy_memory_bytes = 32u << 20,
		.max_moved = 100,
		.ack_timeout_ms = 2000,
		.start_timeout_ms = 90000,
		.drain_timeout_ms = 30000,
		.backlog = 4096,
		.defer_accept = 1,
		.log_fd = 2,
		.log_level = "info",
		.log_format = "text",
	};
}

void lp_command_line_init(struct lp_command_line *line)
{
	*line = (struct lp_command_line){
		.command = LP_COMMAND_HELP,
		.help_of = LP_COMMAND_HELP,
		.tool = {.keeper = "off",
			 .workers = 4,
			 .ip = "192.0.2.1",
			 .port = 50000,
			 .listener = ":3000",
			 .clients = 100000},
	};
	limpet_options_init(&line->options);
}

static int refuse_value(struct parser *parser, const struct lp_flag *flag, const char *value)
{
	struct lp_did_you_mean nearest = {0};
	char wanted[160];

	lp_flag_describe(flag, wanted, sizeof(wanted));
	for (size_t i = 0; flag->kind == LP_FLAG_CHOICE && flag->choices[i]; i++)
		lp_did_you_mean_consider(&nearest, value, flag->choices[i]);
	if (nearest.name)
		return lp_error_set(parser->error, LP_EUSAGE, "%s: \"%s\" is not %s; did you mean %s?", flag->name,
				    value, wanted, nearest.name);
	return lp_error_set(parser->error, LP_EUSAGE, "%s: \"%s\" is not %s", flag->name, value, wanted);
}

/* The choice that is meant, in any case, or NULL. */
static const char *find_choice(const struct lp_flag *flag, const char *value)
{
	for (size_t i = 0; flag->choices[i]; i++)
		if (strcasecmp(flag->choices[i], value) == 0)
			return flag->choices[i];
	return NULL;
}

/* Put a flag into the command line. */
static int store_value(struct parser *parser, const struct lp_flag *flag, const char *value)
{
	char *line = (char *)parser->line;
	char *field = line + flag->field;
	const char *value_meant;
	struct lp_error reason;
	uint32_t number;
	size_t *count;

	if (flag->check && flag->check(value, &reason) != 0)
		return lp_error_set(parser->error, LP_EUSAGE, "%s: %s", flag->name, reason.text);
	switch (flag->kind) {
	case LP_FLAG_HEADING:
		break;
	case LP_FLAG_ON:
	case LP_FLAG_OFF:
		*(int *)field = flag->kind == LP_FLAG_ON;
		break;
	case LP_FLAG_NUMBER:
	case LP_FLAG_BYTES:
	case LP_FLAG_DURATION:
		if (!lp_flag_number(flag, value, &number))
			return refuse_value(parser, flag, value);
		*(uint32_t *)field = number; /* An int's value is within its bounds, and C lets one alias the other. */
		break;
	case LP_FLAG_CHOICE:
		value_meant = find_choice(flag, value);
		if (!value_meant)
			return refuse_value(parser, flag, value);
		*(const char **)field = value_meant;
		break;
	case LP_FLAG_TEXT:
		*(const char **)field = value;
		break;
	case LP_FLAG_LIST:
		count = (size_t *)(line + flag->count);
		parser->line->lists[flag->list * parser->list_size + (*count)++] = value;
		break;
	}
	return 0;
}

static const struct lp_flag *find_flag(const struct lp_command_entry *command, const char *text, size_t length)
{
	for (size_t i = 0; i < command->flag_count; i++) {
		const struct lp_flag *flag = &command->flags[i];

		if (flag->kind != LP_FLAG_HEADING && strlen(flag->name) == length &&
		    memcmp(flag->name, text, length) == 0)
			return flag;
	}
	return NULL;
}

/* The first command that has a flag, or NULL. */
static const char *find_owner(const char *name)
{
	for (unsigned i = 0; i < LP_COMMANDS; i++)
		if (find_flag(&lp_command_entries[i], name, strlen(name)))
			return lp_command_entries[i].name;
	return NULL;
}

static int refuse_flag(struct parser *parser, const char *text, size_t length)
{
	const struct lp_command_entry *command = parser->command;
	struct lp_did_you_mean nearest = {0};
	const char *other;
	char name[64];

	snprintf(name, sizeof(name), "%.*s", (int)(length < sizeof(name) ? length : sizeof(name) - 1), text);
	for (size_t i = 0; i < command->flag_count; i++)
		if (command->flags[i].kind != LP_FLAG_HEADING)
			lp_did_you_mean_consider(&nearest, name, command->flags[i].name);
	if (nearest.name)
		return lp_error_set(parser->error, LP_EUSAGE, "unknown flag %s; did you mean %s?", name, nearest.name);
	other = find_owner(name);
	if (other)
		return lp_error_set(
			parser->error, LP_EUSAGE,
			"limpet %s has no flag %s, which is one of limpet %s; limpet %s --help lists those it has",
			command->name, name, other, command->name);
	return lp_error_set(parser->error, LP_EUSAGE, "unknown flag %s; limpet %s --help lists them all", name,
			    command->name);
}

/* Take the flag at *at, and move *at to its last argument. */
static int parse_flag(struct parser *parser, char ***at)
{
	const char *text = **at;
	size_t length = strcspn(text, "=");
	const struct lp_flag *flag = find_flag(parser->command, text, length);
	const char *value = text[length] ? text + length + 1 : NULL;
	char wanted[160];

	if (!flag)
		return refuse_flag(parser, text, length);
	if (!flag->value) {
		if (value)
			return lp_error_set(parser->error, LP_EUSAGE, "%s takes no value, but got \"%s\"", flag->name,
					    value);
	} else if (!value) {
		value = (*at)[1];
		if (!value || strncmp(value, "--", 2) == 0) {
			lp_flag_describe(flag, wanted, sizeof(wanted));
			return lp_error_set(parser->error, LP_EUSAGE, "%s needs a value: %s", flag->name, wanted);
		}
		++*at;
	}
	return store_value(parser, flag, value);
}

/* An argument that is no flag. */
static int take_argument(struct parser *parser, const char *argument)
{
	struct lp_tool_options *tool = &parser->line->tool;

	if (parser->line->command == LP_COMMAND_RUN)
		return lp_error_set(parser->error, LP_EUSAGE,
				    "\"%s\" is not a flag; put the program after --, such as: " RUN_EXAMPLE, argument);
	if (!parser->command->files && parser->line->command != LP_COMMAND_WHY)
		return lp_error_set(parser->error, LP_EUSAGE, "%s does not take \"%s\"; limpet %s --help explains it",
				    parser->command->name, argument, parser->command->name);
	if (parser->line->command == LP_COMMAND_WHY && tool->file_count > 0)
		return lp_error_set(parser->error, LP_EUSAGE,
				    "why explains one client or session at a time, not \"%s\" too", argument);
	if (!*argument)
		return lp_error_set(parser->error, LP_EUSAGE, "\"\" is not %s",
				    parser->command->files ? parser->command->files : "a client or a session");
	parser->line->lists[LP_FLAG_FILES * parser->list_size + tool->file_count++] = argument;
	return 0;
}

static int parse_arguments(struct parser *parser, char **at)
{
	bool only_files = false; /* After "--". */

	for (; *at; at++) {
		int status;

		if (!only_files && strcmp(*at, "--") == 0 && parser->line->command == LP_COMMAND_RUN) {
			if (at[1])
				parser->line->options.command = at + 1;
			return 0;
		}
		if (!only_files && strcmp(*at, "--") == 0 && parser->command->files) {
			only_files = true;
			continue;
		}
		if (only_files || (*at)[0] != '-' || (parser->command->flag_count == 0 && !parser->command->files))
			status = take_argument(parser, *at);
		else
			status = parse_flag(parser, &at);
		if (status != 0)
			return status;
	}
	return 0;
}

/* Configuration files */

/* The value of a --config at a place of the arguments, or NULL. */
static const char *config_at(char *const *at)
{
	static const char name[] = "--config";
	size_t length = strlen(name);

	if (strncmp(*at, name, length) != 0)
		return NULL;
	return (*at)[length] == '=' ? *at + length + 1 : (*at)[length] == '\0' ? at[1] : NULL;
}

/* Read all files that the arguments name. */
static int read_configs(struct lp_command_line *line, int argc, char *const *at, struct lp_error *error)
{
	line->configs = calloc((size_t)argc, sizeof(*line->configs));
	if (!line->configs)
		return lp_error_set(error, -ENOMEM, "no memory for the command line");
	for (; *at && strcmp(*at, "--") != 0; at++) {
		const char *path = config_at(at);
		int status = path ? lp_config_file_read(&line->configs[line->config_count++], path, error) : 0;

		if (status != 0)
			return status;
	}
	return 0;
}

static int prefix_error(const struct lp_config_file *file, unsigned line, struct lp_error *error)
{
	struct lp_error plain = *error;

	return lp_error_set(error, plain.code, "%s:%u: %s", file->path, line, plain.text);
}

static int take_config_line(struct parser *parser, const struct lp_config_line *line)
{
	const struct lp_flag *flag = find_flag(parser->command, line->flag, strlen(line->flag));
	char wanted[160];

	if (!flag)
		return refuse_flag(parser, line->flag, strlen(line->flag));
	if (strcmp(line->flag, "--config") == 0)
		return lp_error_set(parser->error, LP_EUSAGE,
				    "a configuration file cannot name another; give both on the command line");
	if (!flag->value && line->value)
		return lp_error_set(parser->error, LP_EUSAGE, "%s takes no value, but got \"%s\"", flag->name,
				    line->value);
	if (flag->value && !line->value) {
		lp_flag_describe(flag, wanted, sizeof(wanted));
		return lp_error_set(parser->error, LP_EUSAGE, "%s needs a value: %s", flag->name, wanted);
	}
	return store_value(parser, flag, line->value);
}

/* Files have run's flags, whichever command reads them. */
static int take_configs(const struct parser *of_command)
{
	struct lp_command_line *line = of_command->line;
	struct parser parser = *of_command;

	parser.command = &lp_command_entries[LP_COMMAND_RUN];
	for (size_t i = 0; i < line->config_count; i++) {
		const struct lp_config_file *file = &line->configs[i];

		for (size_t k = 0; k < file->count; k++)
			if (take_config_line(&parser, &file->lines[k]) != 0)
				return prefix_error(file, file->lines[k].line, parser.error);
		if (file->program)
			line->options.command = file->program;
	}
	return 0;
}

static size_t count_config_lines(const struct lp_command_line *line)
{
	size_t count = 0;

	for (size_t i = 0; i < line->config_count; i++)
		count += line->configs[i].count;
	return count;
}

/* check is about the policies that the files name. */
static void check_policies_of_configs(struct lp_command_line *line, const struct parser *parser)
{
	for (size_t i = 0; i < line->options.policy_count; i++)
		line->lists[LP_FLAG_FILES * parser->list_size + line->tool.file_count++] = line->options.policies[i];
}

/* Whether a text names a value, and not a part of a longer word. */
static bool text_names_value(const char *text, const char *value)
{
	size_t length = strlen(value);

	for (const char *at = text; length > 1 && (at = strstr(at, value)); at++) {
		bool begins = at == text || !isalnum((unsigned char)at[-1]);
		bool ends = !isalnum((unsigned char)at[length]);

		if (begins && ends)
			return true;
	}
	return false;
}

void lp_options_blame(const struct lp_command_line *line, struct lp_error *error)
{
	const struct lp_config_file *file = NULL;
	unsigned number = 0;
	size_t best = 0;

	for (size_t i = 0; i < line->config_count; i++)
		for (size_t k = 0; k < line->configs[i].count; k++) {
			const struct lp_config_line *at = &line->configs[i].lines[k];
			const char *value =
				at->value && text_names_value(error->text, at->value) ? at->value : at->flag;

			if (strlen(value) > best && text_names_value(error->text, value)) {
				best = strlen(value);
				file = &line->configs[i];
				number = at->line;
			}
		}
	if (file)
		prefix_error(file, number, error);
}

/* What a made-up connection cannot have together. */
static int check_connection(const struct lp_tool_options *tool, struct lp_error *error)
{
	const char *http = tool->method         ? "--method"
			   : tool->path         ? "--path"
			   : tool->sid          ? "--sid"
			   : tool->header_count ? "--header"
						: NULL;
	const char *tls = tool->sni ? "--sni" : tool->alpn_count ? "--alpn" : NULL;

	if (tool->raw && (http || tls))
		return lp_error_set(error, LP_EUSAGE,
				    "--raw has all that the client sends; leave out %s, or write it into %s",
				    http ? http : tls, tool->raw);
	if (http && tls)
		return lp_error_set(
			error, LP_EUSAGE,
			"%s makes the connection TLS, and %s would be encrypted in it; leave out one of them", tls,
			http);
	return 0;
}

static int check_workers(const struct lp_tool_options *tool, struct lp_error *error)
{
	for (size_t i = 0; i < tool->known_count; i++) {
		const char *id = strrchr(tool->known[i], '=') + 1;

		if (strtoul(id, NULL, 10) > tool->workers)
			return lp_error_set(error, LP_EUSAGE, "--session: there is no worker %s; --workers makes %u",
					    id, tool->workers);
	}
	if (tool->kill > tool->workers)
		return lp_error_set(error, LP_EUSAGE, "--kill: there is no worker %u; --workers makes %u", tool->kill,
				    tool->workers);
	return 0;
}

/* `limpet route --session` takes both: what run's flag takes, and sessions that are known. */
static void part_sessions(struct lp_command_line *line, size_t list_size)
{
	const char **rules = line->lists + LP_FLAG_SESSIONS * list_size;
	const char **known = line->lists + LP_FLAG_KNOWN * list_size;
	size_t count = line->tool.known_count;

	line->tool.known_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct lp_session_rule rule;

		if (lp_session_rule_parse(known[i], &rule, NULL) == 0)
			rules[line->options.session_count++] = known[i];
		else
			known[line->tool.known_count++] = known[i];
	}
}

/* drain and enable are about one worker. */
static int check_worker(struct parser *parser)
{
	struct lp_tool_options *tool = &parser->line->tool;
	const char *name = parser->command->name;
	const char *text = tool->file_count ? tool->files[0] : "";
	size_t digits = strspn(text, "0123456789");
	unsigned long number = strtoul(text, NULL, 10);

	if (tool->file_count > 1)
		return lp_error_set(parser->error, LP_EUSAGE, "%s takes one worker at a time, not \"%s\" too", name,
				    tool->files[1]);
	if (digits == 0 || text[digits] || number < 1 || number > LIMPET_WORKERS_MAX)
		return lp_error_set(parser->error, LP_EUSAGE,
				    "%s needs the number of a worker, 1 to %d, as limpet status shows it, not \"%s\"; "
				    "such as: limpet %s 2",
				    name, LIMPET_WORKERS_MAX, text, name);
	tool->worker = (uint32_t)number;
	return 0;
}

static int check_needed(struct parser *parser)
{
	const struct lp_command_line *line = parser->line;
	struct lp_error *error = parser->error;
	int status;

	if (line->tool.replay && line->tool.file_count != 2)
		return lp_error_set(error, LP_EUSAGE,
				    "route --replay compares two policies, not %zu, such as: "
				    "limpet route --replay recent.txt ./old.lua ./new.lua",
				    line->tool.file_count);
	if (parser->command->files && line->tool.file_count == 0 && line->config_count == 0)
		return lp_error_set(error, LP_EUSAGE, "%s needs %s; limpet %s --help has examples",
				    parser->command->name, parser->command->files, parser->command->name);
	if (line->command == LP_COMMAND_DRAIN || line->command == LP_COMMAND_ENABLE)
		return check_worker(parser);
	if (line->command != LP_COMMAND_RUN) {
		status = check_connection(&line->tool, error);
		return status ? status : check_workers(&line->tool, error);
	}
	if (line->options.listen_count == 0)
		return lp_error_set(error, LP_EUSAGE, "run needs --listen ADDRESS, such as: " RUN_EXAMPLE);
	if (!line->options.command)
		return lp_error_set(error, LP_EUSAGE, "run needs a program after --, such as: " RUN_EXAMPLE);
	return 0;
}

static bool asks_for_help(char *const *at)
{
	for (; *at && strcmp(*at, "--") != 0; at++)
		if (strcmp(*at, "--help") == 0 || strcmp(*at, "-h") == 0)
			return true;
	return false;
}

static int refuse_command(const char *name, struct lp_error *error)
{
	char names[256] = "";
	size_t length = 0;

	for (unsigned i = 0; i < LP_COMMANDS && length < sizeof(names); i++)
		length += (size_t)snprintf(names + length, sizeof(names) - length, "%s%s",
					   i == 0                 ? ""
					   : i == LP_COMMANDS - 1 ? " and "
								  : ", ",
					   lp_command_entries[i].name);
	return lp_error_set(error, LP_EUSAGE,
			    "unknown command \"%s\"; there are %s. To start a program: limpet run --listen :3000 -- %s",
			    name, names, *name ? name : "PROGRAM");
}

static int find_command(const char *name, enum lp_command *command, struct lp_error *error)
{
	struct lp_did_you_mean nearest = {0};

	for (unsigned i = 0; i < LP_COMMANDS; i++) {
		if (strcmp(lp_command_entries[i].name, name) == 0) {
			*command = i;
			return 0;
		}
		lp_did_you_mean_consider(&nearest, name, lp_command_entries[i].name);
	}
	if (name[0] == '-')
		return lp_error_set(error, LP_EUSAGE, "\"%s\" stands where a command belongs, such as: " RUN_EXAMPLE,
				    name);
	if (nearest.name)
		return lp_error_set(error, LP_EUSAGE, "unknown command \"%s\"; did you mean %s?", name, nearest.name);
	return refuse_command(name, error);
}

/* Everything after `limpet COMMAND`. */
static int parse_command(int argc, char **argv, struct lp_command_line *line, struct lp_error *error)
{
	struct limpet_options *options = &line->options;
	struct parser parser = {
		.line = line,
		.command = &lp_command_entries[line->command],
		.error = error,
	};
	int status = read_configs(line, argc, argv + 2, error);

	if (status != 0)
		return status;
	/* check has each policy twice: as run's and as its own. */
	parser.list_size = (size_t)argc + 2 * count_config_lines(line);
	line->lists = calloc(LP_FLAG_LISTS * parser.list_size, sizeof(*line->lists));
	if (!line->lists)
		return lp_error_set(error, -ENOMEM, "no memory for the command line");
	options->listen = line->lists + LP_FLAG_LISTEN * parser.list_size;
	options->policies = line->lists + LP_FLAG_POLICIES * parser.list_size;
	options->sessions = line->lists + LP_FLAG_SESSIONS * parser.list_size;
	options->settings = line->lists + LP_FLAG_SETTINGS * parser.list_size;
	options->trusted = line->lists + LP_FLAG_TRUSTED * parser.list_size;
	options->worker_env = line->lists + LP_FLAG_WORKER_ENV * parser.list_size;
	options->admin_hosts = line->lists + LP_FLAG_ADMIN_HOSTS * parser.list_size;
	line->tool.files = line->lists + LP_FLAG_FILES * parser.list_size;
	line->tool.headers = line->lists + LP_FLAG_HEADERS * parser.list_size;
	line->tool.alpn = line->lists + LP_FLAG_ALPN * parser.list_size;
	line->tool.known = line->lists + LP_FLAG_KNOWN * parser.list_size;
	status = take_configs(&parser);
	if (status == 0)
		status = parse_arguments(&parser, argv + 2);
	if (line->command == LP_COMMAND_CHECK)
		check_policies_of_configs(line, &parser);
	part_sessions(line, parser.list_size);
	return status ? status : check_needed(&parser);
}

int lp_options_parse(int argc, char **argv, struct lp_command_line *line, struct lp_error *error)
{
	enum lp_command command = LP_COMMAND_HELP;
	int status;

	lp_command_line_init(line);
	line->unasked = argc < 2;
	if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return 0;
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-v") == 0 || strcmp(argv[1], "-V") == 0) {
		line->command = LP_COMMAND_VERSION;
		return 0;
	}
	status = find_command(argv[1], &command, error);
	if (status != 0)
		return status;
	if (command == LP_COMMAND_HELP)
		return argc == 2 || asks_for_help(argv + 2) ? 0 : find_command(argv[2], &line->help_of, error);
	if (asks_for_help(argv + 2)) {
		line->help_of = command;
		return 0;
	}
	line->command = command;
	return parse_command(argc, argv, line, error);
}

void lp_options_deinit(struct lp_command_line *line)
{
	for (size_t i = 0; i < line->config_count; i++)
		lp_config_file_deinit(&line->configs[i]);
	free(line->configs);
	free(line->lists);
	line->configs = NULL;
	line->config_count = 0;
	line->lists = NULL;
}
