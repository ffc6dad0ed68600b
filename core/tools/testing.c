/*
 * Finding test files, and printing what becomes of their tests.
 */
#include "tools/testing.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "policy/testing.h"

#define SUFFIX ".test.lua"

/* Folders may be links into themselves. */
#define DEPTH_MAX 16

struct run {
	FILE *out;
	size_t files;
	int passed;
	int failed;
};

static void on_tested(const struct lp_test_result *result, void *owner)
{
	struct run *run = owner;

	fprintf(run->out, "  %s %s\n", result->failure ? "FAIL" : "ok  ", result->name);
	if (result->failure)
		fprintf(run->out, "       %s\n", result->failure);
	if (result->failure && result->expected)
		fprintf(run->out, "         expected  %s\n         got       %s\n", result->expected, result->got);
	if (result->failure)
		run->failed++;
	else
		run->passed++;
}

static void run_file(struct run *run, const char *path)
{
	struct lp_error error = {0};

	run->files++;
	fprintf(run->out, "%s\n", path);
	if (lp_policy_test(path, on_tested, run, &error) == 0)
		return;
	run->failed++;
	fprintf(run->out, "  FAIL %s\n", strncmp(error.text, "policy ", 7) == 0 ? error.text + 7 : error.text);
}

static bool is_test(const char *name)
{
	size_t length = strlen(name);

	return length > strlen(SUFFIX) && strcmp(name + length - strlen(SUFFIX), SUFFIX) == 0;
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int run_folder(struct run *run, const char *folder, int depth, struct lp_error *error)
{
	struct dirent **entries;
	char path[PATH_MAX];
	int status = 0;
	int count = depth < DEPTH_MAX ? scandir(folder, &entries, is_visible, alphasort) : 0;

	if (count < 0)
		return lp_error_set(error, -errno, "%s: %s", folder, lp_error_words(-errno));
	for (int i = 0; i < count; i++) {
		size_t length = strlen(folder);
		struct stat about;

		snprintf(path, sizeof(path), "%s%s%s", folder, folder[length - 1] == '/' ? "" : "/",
			 entries[i]->d_name);
		if (status == 0 && stat(path, &about) == 0 && S_ISDIR(about.st_mode))
			status = run_folder(run, path, depth + 1, error);
		else if (status == 0 && is_test(path))
			run_file(run, path);
		free(entries[i]);
	}
	if (count > 0)
		free(entries);
	return status;
}

static int run_path(struct run *run, const char *path, struct lp_error *error)
{
	size_t before = run->files;
	struct stat about;
	int status;

	if (stat(path, &about) < 0)
		return lp_error_set(error, -errno, "%s: %s", path, lp_error_words(-errno));
	if (!S_ISDIR(about.st_mode)) {
		run_file(run, path);
		return 0;
	}
	status = run_folder(run, path, 0, error);
	if (status == 0 && run->files == before)
		return lp_error_set(error, LP_EUSAGE, "%s: there is no *" SUFFIX " in this folder", path);
	return status;
}

int lp_run_tests(const char *const *paths, size_t count, FILE *out, struct lp_error *error)
{
	struct run run = {.out = out};

	for (size_t i = 0; i < count; i++) {
		int status = run_path(&run, paths[i], error);

		if (status < 0)
			return status;
	}
	fprintf(out, "\n%d passed, %d failed\n", run.passed, run.failed);
	return run.failed;
}
