/*
 * What is taken out of a head is overwritten, not cut out, so that its length, and all that a policy does not read, stays
 * what it was. Only the headers named below are: a token in a path, a query or a header of somebody's own is written.
 */
#include "route/recording.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "route/head.h"

#define BEGINNING "limpet recording 1\n"

static bool is_named(const struct lp_header *header, const char *name)
{
	return header->name.length == strlen(name) && strncasecmp(header->name.bytes, name, header->name.length) == 0;
}

static void blot_out(char *bytes, size_t length)
{
	memset(bytes, 'x', length);
}

/* "a=1; b=2" becomes "a=x; b=x". What has no name is a value. */
static void blot_out_cookies(char *bytes, size_t length)
{
	char *end = bytes + length;

	while (bytes < end) {
		char *stop = memchr(bytes, ';', (size_t)(end - bytes));
		char *equals;

		stop = stop ? stop : end;
		equals = memchr(bytes, '=', (size_t)(stop - bytes));
		while (!equals && bytes < stop && *bytes == ' ')
			bytes++;
		bytes = equals ? equals + 1 : bytes;
		blot_out(bytes, (size_t)(stop - bytes));
		bytes = stop + 1;
	}
}

/* What does not parse is a ClientHello, which has no headers. Without memory, or of headers that nobody understands, nothing is
 * shown. */
static void redact_head(char *bytes, size_t length)
{
	struct lp_head *head = lp_head_new(length);
	bool is_request = head && lp_head_parse(head, bytes, length) > 0;
	const struct lp_header *headers = NULL;
	int count = is_request ? lp_head_headers(head, &headers) : 0;

	if (!head || count < 0)
		blot_out(bytes, length);
	for (int i = 0; i < count; i++) {
		const struct lp_header *header = &headers[i];
		char *value = bytes + (header->value.bytes - bytes); /* The slice is of our bytes. */

		if (is_named(header, "authorization") || is_named(header, "proxy-authorization"))
			blot_out(value, header->value.length);
		else if (is_named(header, "cookie"))
			blot_out_cookies(value, header->value.length);
	}
	lp_head_free(head);
}

void lp_recording_begin(FILE *out)
{
	fputs(BEGINNING, out);
}

void lp_recording_write(FILE *out, const struct lp_recorded *recorded, bool raw)
{
	char bytes[LP_RECORDED_HEAD_BYTES + 1];
	char ip[LP_IP_TEXT_SIZE];

	if (!lp_ip_format(&recorded->ip, ip))
		strcpy(ip, "unix");
	fprintf(out, "%s %u %u %u %s\n", ip, recorded->port, recorded->worker, recorded->length, recorded->listener);
	memcpy(bytes, recorded->head, recorded->length);
	if (!raw && recorded->length)
		redact_head(bytes, recorded->length);
	bytes[recorded->length] = '\n';
	fwrite(bytes, 1, recorded->length + 1u, out);
}

int lp_recording_open(struct lp_recording *recording, const char *path, struct lp_error *error)
{
	*recording = (struct lp_recording){.path = path, .in = fopen(path, "rb")};
	if (!recording->in)
		return lp_error_set(error, -errno, "%s: %s", path, lp_error_words(-errno));
	if (fgets(recording->line, sizeof(recording->line), recording->in) && strcmp(recording->line, BEGINNING) == 0)
		return 0;
	fclose(recording->in);
	return lp_error_set(error, -EINVAL, "%s is no recording; limpet record makes them", path);
}

void lp_recording_close(struct lp_recording *recording)
{
	fclose(recording->in);
}

/* Cut the first word off a line, with the one blank after it. Returns NULL when there is no blank. */
static char *take_word(char **line)
{
	char *word = *line;
	char *blank = strchr(word, ' ');

	if (!blank)
		return NULL;
	*blank = '\0';
	*line = blank + 1;
	return word;
}

/* A number as it is written, up to most. Returns -1 if it is no number. */
static int take_number(char **line, unsigned most)
{
	const char *word = take_word(line);
	unsigned value = 0;

	if (!word || !*word || (word[0] == '0' && word[1]))
		return -1;
	for (; *word; word++) {
		if (*word < '0' || *word > '9')
			return -1;
		value = value * 10 + (unsigned)(*word - '0');
		if (value > most)
			return -1;
	}
	return (int)value;
}

/* The line "IP PORT WORKER BYTES LISTENER". Returns whether it is one. */
static bool parse_line(char *line, struct lp_recorded *recorded)
{
	size_t end = strcspn(line, "\n");
	const char *ip;
	int port, worker, length;

	if (line[end] != '\n')
		return false;
	line[end] = '\0';
	ip = take_word(&line);
	port = ip ? take_number(&line, UINT16_MAX) : -1;
	worker = port < 0 ? -1 : take_number(&line, UINT16_MAX);
	length = worker < 0 ? -1 : take_number(&line, LP_RECORDED_HEAD_BYTES);
	if (length < 0)
		return false;
	*recorded = (struct lp_recorded){
		.port = (uint16_t)port,
		.worker = (uint16_t)worker,
		.length = (uint16_t)length,
		.listener = line,
	};
	return strcmp(ip, "unix") == 0 || lp_ip_parse(ip, strlen(ip), &recorded->ip) == 0;
}

int lp_recording_read(struct lp_recording *recording, struct lp_recorded *recorded, struct lp_error *error)
{
	if (!fgets(recording->line, sizeof(recording->line), recording->in))
		return 0;
	recording->read++;
	if (!parse_line(recording->line, recorded) ||
	    fread(recording->head, 1, recorded->length, recording->in) != recorded->length ||
	    fgetc(recording->in) != '\n')
		return lp_error_set(error, -EINVAL, "%s: its connection %u is damaged", recording->path,
				    recording->read);
	recorded->head = recording->head;
	return 1;
}
