/*
 * The way of a connection from DUE to the worker that reads it, as core/connection/connection.c has it, with two workers and two
 * connections. A worker, or the balancer, may die between any two steps.
 *
 * Checked: no two workers read the same request, and no connection is closed, or goes with its worker, that nobody has read.
 *
 * The balancer's records, and what the kernel writes down for it (how much a sendmsg has sent), outlive the balancer; its
 * descriptors do as well. MISTAKE seeds one: 1 gives what a dead worker has read to another; 2 lets go of a connection when the
 * worker says that it has arrived; 3 forgets, after the balancer's death, whether the interrupted sendmsg has sent.
 */
#ifndef MISTAKE
#define MISTAKE 0
#endif

#define WORKERS 2
#define CONNECTIONS 2
#define WORKER_DEATHS 1
#define BALANCER_DEATHS 1
#define GIVEN_BACK 1

mtype = { DUE, SENDING, SENT, UNREAD, CLOSING, GONE };

/* Records. */
mtype state[CONNECTIONS] = DUE;
byte worker[CONNECTIONS];
bool journal[CONNECTIONS]; /* The kernel has sent it. */

/* The kernel's. */
bool copy[CONNECTIONS] = true; /* The balancer's descriptor. */
bool used[CONNECTIONS];        /* The present request was read. */
byte readers[CONNECTIONS];     /* How many workers have read it. */

/* By worker and connection: in its channel, in its hands, what it has said. */
#define AT(w, c) ((w) * CONNECTIONS + (c))
bool channel[WORKERS * CONNECTIONS];
bool has[WORKERS * CONNECTIONS];
bool has_read[WORKERS * CONNECTIONS];
bool said_arrived[WORKERS * CONNECTIONS];
bool said_back[WORKERS * CONNECTIONS];

bool alive[WORKERS] = true;
bool mourned[WORKERS] = true; /* The balancer has dealt with the last death. */
byte worker_deaths;
byte balancer_deaths;
byte given_back;
bool crash; /* The balancer dies at its next step. */

#define HELD(c) (has[AT(0, c)] || has[AT(1, c)] || channel[AT(0, c)] || channel[AT(1, c)])

/* A request that nobody can read any more. */
#define LOST(c) (!used[c] && !copy[c] && !HELD(c) && !said_back[AT(0, c)] && !said_back[AT(1, c)])

/* Close our copy: CLOSING is written first, so that a successor does it again. */
inline close_copy(c)
{
	state[c] = CLOSING;
	d_step { copy[c] = false; assert(!LOST(c)) }
	state[c] = GONE;
}

inline send_to(w, c)
{
	d_step { state[c] = SENDING; worker[c] = w; journal[c] = false; }
	d_step { /* One system call: both, or neither. */
		if
		:: alive[w] -> channel[AT(w, c)] = true; journal[c] = true
		:: else
		fi
	}
	if
	:: d_step { journal[c] -> state[c] = SENT }
	:: d_step { !journal[c] -> state[c] = DUE }
	fi
}

inline hear(w, c)
{
	d_step { /* One message is applied whole, or not at all. */
		if
		:: said_arrived[AT(w, c)] && state[c] == SENT && worker[c] == w ->
			said_arrived[AT(w, c)] = false;
			state[c] = (MISTAKE == 2 -> CLOSING : UNREAD)
		:: said_back[AT(w, c)] && state[c] == GONE ->
			said_back[AT(w, c)] = false;
			copy[c] = true;
			used[c] = false;
			readers[c] = 0;
			state[c] = DUE
		:: else
		fi
	}
}

/* A worker has died: its last words count, then what it has not provably read goes to another. */
inline mourn(w, c)
{
	hear(w, c);
	if
	:: d_step { (state[c] == SENT || state[c] == UNREAD) && worker[c] == w && (!used[c] || MISTAKE == 1) -> state[c] = DUE }
	:: (state[c] == SENT || state[c] == UNREAD) && worker[c] == w && used[c] && MISTAKE != 1 -> close_copy(c)
	:: else
	fi
}

inline recover(c)
{
	if
	:: state[c] == SENDING ->
		d_step { state[c] = (journal[c] && MISTAKE != 3 -> SENT : DUE) }
	:: state[c] == CLOSING -> close_copy(c)
	:: else
	fi
}

#define STEPS(w, c) \
	:: atomic { state[c] == DUE && alive[w] && mourned[w] -> skip } send_to(w, c) \
	:: said_arrived[AT(w, c)] && alive[w] -> hear(w, c) \
	:: said_back[AT(w, c)] && state[c] == GONE -> hear(w, c)

proctype balancer()
{
restart:
	{
		recover(0);
		recover(1);
end:		do
		STEPS(0, 0) STEPS(0, 1) STEPS(1, 0) STEPS(1, 1)
		:: (state[0] == UNREAD && used[0]) || state[0] == CLOSING -> close_copy(0)
		:: (state[1] == UNREAD && used[1]) || state[1] == CLOSING -> close_copy(1)
		:: !alive[0] && !mourned[0] -> mourn(0, 0); mourn(0, 1); d_step { mourned[0] = true; alive[0] = true }
		:: !alive[1] && !mourned[1] -> mourn(1, 0); mourn(1, 1); d_step { mourned[1] = true; alive[1] = true }
		od
	} unless { d_step { crash -> crash = false } };
	goto restart
}

#define WORK(w, c) \
	:: d_step { alive[w] && channel[AT(w, c)] -> \
		channel[AT(w, c)] = false; has[AT(w, c)] = true; has_read[AT(w, c)] = false; said_arrived[AT(w, c)] = true } \
	:: d_step { alive[w] && has[AT(w, c)] && !has_read[AT(w, c)] -> \
		has_read[AT(w, c)] = true; used[c] = true; readers[c]++; assert(readers[c] == 1) } \
	:: d_step { alive[w] && has_read[AT(w, c)] && given_back < GIVEN_BACK && state[c] == GONE -> \
		given_back++; has[AT(w, c)] = false; has_read[AT(w, c)] = false; said_back[AT(w, c)] = true }

proctype process(byte w)
{
end:	do
	WORK(w, 0) WORK(w, 1)
	:: d_step { alive[w] && mourned[w] && worker_deaths < WORKER_DEATHS ->
		worker_deaths++;
		alive[w] = false;
		mourned[w] = false;
		channel[AT(w, 0)] = false; channel[AT(w, 1)] = false;
		has[AT(w, 0)] = false; has[AT(w, 1)] = false;
		has_read[AT(w, 0)] = false; has_read[AT(w, 1)] = false;
		assert(!LOST(0) && !LOST(1)) }
	od
}

proctype killer()
{
	do
	:: d_step { balancer_deaths < BALANCER_DEATHS && !crash -> balancer_deaths++; crash = true }
	:: balancer_deaths == BALANCER_DEATHS -> break
	od
}

init {
	atomic { run balancer(); run process(0); run process(1); run killer() }
}
