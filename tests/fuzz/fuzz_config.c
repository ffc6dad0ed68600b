/*
 * A configuration file: whatever its bytes are, it is flags and values within the text, or an error that names file and
 * line. What is read is what is freed.
 */
#include "base/config_file.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct lp_config_file file;
	struct lp_error error = {0};
	int status = lp_config_file_parse(&file, "x.conf", (const char *)bytes, length, &error);

	FUZZ_CHECK(status == 0 || strncmp(error.text, "x.conf:", 7) == 0);
	for (size_t i = 0; i < file.count; i++) {
		FUZZ_CHECK(status != 0 || strlen(file.lines[i].flag) > 2);
		FUZZ_CHECK(!file.lines[i].flag || strncmp(file.lines[i].flag, "--", 2) == 0);
		FUZZ_CHECK(!file.lines[i].value || strlen(file.lines[i].value) <= length);
		FUZZ_CHECK(file.lines[i].line > 0 && file.lines[i].line <= length + 1);
	}
	if (status == 0 && file.program)
		FUZZ_CHECK(file.program[0]);
	lp_config_file_deinit(&file);
	return 0;
}
