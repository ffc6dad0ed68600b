/*
 * The workers' door: what is believed about a process that comes. The first byte of the input chooses.
 *
 *   - Who it descends from: the rest is a history of processes, which are started, end and have their numbers used again,
 *     also between two readings of one proof. Whoever is let in was started by limpet, or by one that was; whatever a
 *     stranger does.
 *   - A line of /proc/PID/stat, in which the name is the process's own word: what is read are the kernel's fields.
 *   - The record of a limpet before: its file has any contents, and what is read of it fits its ranges.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "worker/known_processes.h"
#include "worker/process_facts.h"
#include "worker/process_record.h"

enum { NUMBERS = 24, LIMPET = 2, FIRST = 3 };

/* A process, by its number; init and limpet never end. */
static struct model {
	bool lives;
	bool ours; /* Limpet has started it, or it descends from one that limpet has. */
	int parent;
	uint64_t started;
} processes[NUMBERS];

static struct {
	const uint8_t *at;
	const uint8_t *end;
	uint64_t clock;
	bool adopts;
} history;

static uint8_t next_byte(void)
{
	return history.at < history.end ? *history.at++ : 0;
}

static void start_process(int parent, int number)
{
	if (number < FIRST || processes[number].lives || !processes[parent].lives)
		return;
	processes[number] =
		(struct model){.lives = true,
			       .ours = parent == LIMPET || processes[parent].ours,
			       .parent = parent,
			       .started = history.clock++ / 2}; /* Two may start in one tick of the clock. */
}

/* Orphans go to the nearest ancestor that adopts: limpet, for its own, else init. */
static void end_process(int number)
{
	if (number < FIRST || !processes[number].lives)
		return;
	processes[number].lives = false;
	for (int i = FIRST; i < NUMBERS; i++)
		if (processes[i].lives && processes[i].parent == number)
			processes[i].parent = processes[i].ours && history.adopts ? LIMPET : 1;
}

/* Something that happens; 0: nothing. A number is used again only when all others were: not within one tick. */
static void happen(void)
{
	uint8_t what = next_byte();
	if (!what)
		return;
	int parent = next_byte() % NUMBERS;
	int number = next_byte() % NUMBERS;
	if (what & 1) {
		start_process(parent < 1 ? 1 : parent, number);
	} else {
		end_process(number);
		history.clock += 2;
	}
}

static int read_process(pid_t pid, struct lp_process_facts *facts)
{
	happen();
	if (pid <= 0 || pid >= NUMBERS || !processes[pid].lives)
		return -ESRCH;
	*facts = (struct lp_process_facts){
		.pid = pid, .parent = processes[pid].parent, .started = processes[pid].started, .state = 'S'};
	return 0;
}

static void prove(struct lp_known_processes *known, int number)
{
	struct model before = processes[number];
	unsigned slot;
	if (!before.lives || number < FIRST)
		return;
	int status = lp_known_processes_prove(known, number, &slot);
	/* As the door does by its descriptor: the process that has connected must be there still. */
	bool is_there = processes[number].lives && processes[number].started == before.started;
	if (status == 0 && is_there)
		FUZZ_CHECK(processes[number].ours);
}

static void run_history(const uint8_t *bytes, size_t length)
{
	static struct lp_known_processes known;
	if (length < 1)
		return;
	history.at = bytes + 1;
	history.end = bytes + length;
	history.clock = 1;
	history.adopts = bytes[0] & 1;
	memset(processes, 0, sizeof(processes));
	processes[1].lives = true;
	processes[LIMPET] = (struct model){.lives = true, .parent = 1};
	memset(&known, 0, sizeof(known));
	known.read = read_process;
	known.self = LIMPET;
	known.adopts = history.adopts;
	while (history.at < history.end) {
		uint8_t what = next_byte();
		int number = next_byte() % NUMBERS;
		if (what % 4 == 0) {
			start_process(LIMPET, number);
			if (number >= FIRST && processes[number].lives && processes[number].ours &&
			    processes[number].parent == LIMPET)
				lp_known_processes_add(&known,
						       &(struct lp_known_process){.pid = number,
										  .slot = 1,
										  .started = processes[number].started,
										  .is_program = true});
		} else if (what % 4 == 1) {
			happen();
		} else {
			prove(&known, number);
		}
	}
}

static void read_line(const uint8_t *bytes, size_t length)
{
	struct lp_process_facts facts;
	char *name = fuzz_text(bytes, length < 64 ? length : 64);
	char line[512];
	snprintf(line, sizeof(line), "4711 (%s) S 12 34 56 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654321 1 2 3\n",
		 name);
	FUZZ_CHECK(lp_process_facts_parse(line, &facts) == 0);
	FUZZ_CHECK(facts.pid == 4711 && facts.parent == 12 && facts.group == 34 && facts.session == 56);
	FUZZ_CHECK(facts.started == 987654321 && facts.state == 'S');
	free(name);
	char *any = fuzz_text(bytes, length);
	lp_process_facts_parse(any, &facts);
	free(any);
}

static int read_nobody(pid_t pid, struct lp_process_facts *facts)
{
	*facts = (struct lp_process_facts){.pid = pid, .started = 1, .state = 'S'};
	return pid % 3 ? 0 : -ESRCH;
}

static void read_record(const uint8_t *bytes, size_t length)
{
	static struct lp_known_processes known;
	static char path[] = "/tmp/limpet-fuzz-record-XXXXXX";
	static int fd = -1;
	if (fd < 0) {
		fd = mkstemp(path);
		FUZZ_CHECK(fd >= 0 && fchmod(fd, 0600) == 0);
		/* With its true beginning, or no line is ever read. */
		memset(&known, 0, sizeof(known));
		known.read = read_nobody;
	}
	known.count = 0;
	if (length && bytes[0] & 1) {
		FUZZ_CHECK(lp_process_record_write(path, &known) == 0);
		close(fd);
		fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
		FUZZ_CHECK(fd >= 0);
	} else {
		FUZZ_CHECK(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
	}
	if (length)
		FUZZ_CHECK(write(fd, bytes + 1, length - 1) == (ssize_t)length - 1);
	if (lp_process_record_read(path, &known))
		FUZZ_CHECK(known.count == 0);
	FUZZ_CHECK(known.count <= LP_KNOWN_PROCESSES_MAX);
	for (size_t i = 0; i < known.count; i++)
		FUZZ_CHECK(known.all[i].pid > 0 && known.all[i].pid % 3 && known.all[i].started == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	if (length < 1 || length > 4096)
		return 0;
	if (bytes[0] % 8 == 0)
		read_line(bytes + 1, length - 1);
	else if (bytes[0] % 8 == 1)
		read_record(bytes + 1, length - 1);
	else
		run_history(bytes + 1, length - 1);
	return 0;
}
