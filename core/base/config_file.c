/*
 * What a flag's name is, and what it takes, is for options.c to say: here a line is only cut in two. A comment stands on a
 * line of its own, because a value may well have a '#' in it.
 */
#include "base/config_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sha256.h"
#include "base/slice.h"

/* A text on its way into a file. */
struct reader {
	struct lp_config_file *file;
	size_t room; /* For lines. */
	unsigned line;
	struct lp_error *error;
};

static bool is_blank(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r';
}

static struct lp_slice trim_blanks(struct lp_slice text)
{
	while (text.length > 0 && is_blank(text.bytes[0])) {
		text.bytes++;
		text.length--;
	}
	while (text.length > 0 && is_blank(text.bytes[text.length - 1]))
		text.length--;
	return text;
}

static int no_memory(const struct reader *reader)
{
	return lp_error_set(reader->error, -ENOMEM, "%s: no memory for it", reader->file->path);
}

/* Programs */

/* One word of a program, with its quotes taken away. Moves on after it. Returns NULL when out of memory or of a quote. */
static char *take_word(struct reader *reader, struct lp_slice *text)
{
	char *word = malloc(text->length + 1);
	size_t length = 0;
	char quote = '\0';
	size_t at = 0;

	if (!word) {
		no_memory(reader);
		return NULL;
	}
	for (; at < text->length && (quote || !is_blank(text->bytes[at])); at++) {
		char byte = text->bytes[at];

		if (byte == quote)
			quote = '\0';
		else if (!quote && (byte == '"' || byte == '\''))
			quote = byte;
		else if (byte == '\\' && quote != '\'' && at + 1 < text->length)
			word[length++] = text->bytes[++at];
		else
			word[length++] = byte;
	}
	word[length] = '\0';
	*text = trim_blanks((struct lp_slice){text->bytes + at, text->length - at});
	if (!quote)
		return word;
	free(word);
	lp_error_set(reader->error, LP_EUSAGE, "%s:%u: a %c is not closed", reader->file->path, reader->line, quote);
	return NULL;
}

static int take_program(struct reader *reader, struct lp_slice text)
{
	struct lp_config_file *file = reader->file;
	size_t count = 0;

	if (file->program)
		return lp_error_set(reader->error, LP_EUSAGE, "%s:%u: line %u names a program already", file->path,
				    reader->line, file->program_line);
	if (text.length == 0)
		return lp_error_set(reader->error, LP_EUSAGE,
				    "%s:%u: there is no program after --, such as: -- node server.js", file->path,
				    reader->line);
	file->program_line = reader->line;
	file->program =
		calloc(text.length / 2 + 2, sizeof(*file->program)); /* Words are at least a byte and a blank. */
	if (!file->program)
		return no_memory(reader);
	while (text.length > 0) {
		file->program[count] = take_word(reader, &text);
		if (!file->program[count])
			return reader->error ? reader->error->code : LP_EUSAGE;
		count++;
	}
	return file->program[0] && *file->program[0]
		       ? 0
		       : lp_error_set(reader->error, LP_EUSAGE, "%s:%u: the program's name is empty", file->path,
				      reader->line);
}

/* Flags */

static struct lp_config_line *add_line(struct reader *reader)
{
	struct lp_config_file *file = reader->file;

	if (file->count == reader->room) {
		size_t room = reader->room ? 2 * reader->room : 16;
		struct lp_config_line *lines = realloc(file->lines, room * sizeof(*lines));

		if (!lines)
			return NULL;
		file->lines = lines;
		reader->room = room;
	}
	file->lines[file->count] = (struct lp_config_line){.line = reader->line};
	return &file->lines[file->count++];
}

/* A copy that ends in NUL, with something before it; or NULL. */
static char *copy_text(const char *before, struct lp_slice text)
{
	size_t length = strlen(before);
	char *copy = malloc(length + text.length + 1);

	if (!copy)
		return NULL;
	memcpy(copy, before, length);
	memcpy(copy + length, text.bytes, text.length);
	copy[length + text.length] = '\0';
	return copy;
}

static int take_flag(struct reader *reader, struct lp_slice text)
{
	struct lp_config_line *line;
	struct lp_slice value;
	size_t name = 0;
	bool has_value;

	while (name < text.length && !is_blank(text.bytes[name]) && text.bytes[name] != '=')
		name++;
	value = trim_blanks((struct lp_slice){text.bytes + name, text.length - name});
	has_value = value.length > 0;
	if (has_value && value.bytes[0] == '=')
		value = trim_blanks((struct lp_slice){value.bytes + 1, value.length - 1});
	if (name == 0)
		return lp_error_set(reader->error, LP_EUSAGE,
				    "%s:%u: there is no name before the =", reader->file->path, reader->line);
	line = add_line(reader);
	if (!line)
		return no_memory(reader);
	line->flag = copy_text("--", (struct lp_slice){text.bytes, name});
	line->value = has_value ? copy_text("", value) : NULL;
	return line->flag && (line->value || !has_value) ? 0 : no_memory(reader);
}

/* Lines */

static int take_line(struct reader *reader, struct lp_slice text)
{
	reader->line++;
	if (memchr(text.bytes, '\0', text.length))
		return lp_error_set(reader->error, LP_EUSAGE, "%s:%u: there is a NUL in this line; it is no text",
				    reader->file->path, reader->line);
	text = trim_blanks(text);
	if (text.length == 0 || text.bytes[0] == '#')
		return 0;
	if (text.length >= 2 && memcmp(text.bytes, "--", 2) == 0) {
		struct lp_slice rest = {text.bytes + 2, text.length - 2};

		/* "-- node server.js" is the program; "--listen :3000" a flag, as it is written on a command line. */
		return rest.length == 0 || is_blank(rest.bytes[0]) ? take_program(reader, trim_blanks(rest))
								   : take_flag(reader, rest);
	}
	return take_flag(reader, text);
}

int lp_config_file_parse(struct lp_config_file *file, const char *path, const char *text, size_t length,
			 struct lp_error *error)
{
	struct reader reader = {.file = file, .error = error};
	const char *end = text + length;
	int status = 0;

	*file = (struct lp_config_file){.path = path};
	if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		text += 3; /* Some editors begin a file with a byte order mark. */
	while (text < end && status == 0) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		const char *stop = newline ? newline : end;

		status = take_line(&reader, (struct lp_slice){text, (size_t)(stop - text)});
		text = stop + 1;
	}
	return status;
}

static int read_all(const char *path, char *bytes, size_t *length)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat what = {0};
	ssize_t got = 1;
	int status = fd < 0 || fstat(fd, &what) != 0 ? -errno : S_ISREG(what.st_mode) ? 0 : -EINVAL;

	*length = 0;
	if (status == -EINVAL && S_ISDIR(what.st_mode))
		status = -EISDIR;
	while (status == 0 && got > 0 && *length <= LP_CONFIG_FILE_MAX) {
		got = read(fd, bytes + *length, LP_CONFIG_FILE_MAX + 1 - *length);
		if (got < 0 && errno != EINTR)
			status = -errno;
		if (got > 0)
			*length += (size_t)got;
		else if (got < 0)
			got = 1;
	}
	if (fd >= 0)
		close(fd);
	return status ? status : *length > LP_CONFIG_FILE_MAX ? -EFBIG : 0;
}

int lp_config_file_digest(const char *path, uint8_t *digest)
{
	char *bytes = malloc(LP_CONFIG_FILE_MAX + 1);
	size_t length = 0;
	int status = bytes ? read_all(path, bytes, &length) : -ENOMEM;

	if (status == 0)
		lp_sha256(bytes, length, digest);
	free(bytes);
	return status;
}

int lp_config_file_read(struct lp_config_file *file, const char *path, struct lp_error *error)
{
	char *bytes = malloc(LP_CONFIG_FILE_MAX + 1);
	size_t length = 0;
	int status = bytes ? read_all(path, bytes, &length) : -ENOMEM;

	*file = (struct lp_config_file){.path = path};
	if (status == 0)
		status = lp_config_file_parse(file, path, bytes, length, error);
	else
		status = lp_error_set(error, status == -ENOMEM ? -ENOMEM : LP_EUSAGE, "--config %s: %s", path,
				      lp_error_words(status));
	free(bytes);
	return status;
}

void lp_config_file_deinit(struct lp_config_file *file)
{
	for (size_t i = 0; i < file->count; i++) {
		free(file->lines[i].flag);
		free(file->lines[i].value);
	}
	for (size_t i = 0; file->program && file->program[i]; i++)
		free(file->program[i]);
	free(file->lines);
	free(file->program);
	*file = (struct lp_config_file){0};
}
