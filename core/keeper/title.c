/*
 * The kernel shows what lies where it has put the arguments, one behind the other. It shows all of that place, so what the
 * title leaves over is zeroed.
 */
#include "keeper/title.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

static void free_copies(char **copies)
{
	for (size_t i = 0; copies && copies[i]; i++)
		free(copies[i]);
	free(copies);
}

char **lp_title_init(struct lp_title *title, int argc, char **argv)
{
	*title = (struct lp_title){.copies = calloc((size_t)argc + 1, sizeof(*argv))};
	for (int i = 0; i < argc && title->copies; i++) {
		title->copies[i] = strdup(argv[i]);
		if (title->copies[i])
			continue;
		free_copies(title->copies);
		title->copies = NULL;
	}
	if (!title->copies)
		return argv;
	title->start = argc > 0 ? argv[0] : NULL;
	for (int i = 0; i < argc && argv[i] == title->start + title->size; i++)
		title->size += strlen(argv[i]) + 1;
	return title->copies;
}

void lp_title_set(const struct lp_title *title, const char *text, const char *name)
{
	prctl(PR_SET_NAME, name, 0, 0, 0);
	if (!title->size)
		return;
	memset(title->start, 0, title->size);
	strncpy(title->start, text, title->size - 1);
}

void lp_title_deinit(struct lp_title *title)
{
	free_copies(title->copies);
	*title = (struct lp_title){0};
}
