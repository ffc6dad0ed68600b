/*
 * /proc tells which signals are caught (SigCgt), but not by whom. Two runtimes always catch SIGTERM:
 *
 *     Node   restores the terminal and dies; its handler has SA_RESETHAND. process.on('SIGTERM') puts another in its place.
 *     Java   runs the shutdown hooks and dies; the handler is the virtual machine's own, in libjvm.so.
 *
 * Ruby and .NET catch it as well, but their handlers stay the same when a program asks for the signal, so they count as
 * handling it: they end as they do without limpet.
 */
#include "preload/sigterm.h"

#include <dlfcn.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

static bool is_virtual_machines(const struct sigaction *action)
{
	void *handler;
	Dl_info where;
	memcpy(&handler, &action->sa_sigaction, sizeof(handler));
	return dladdr(handler, &where) && where.dli_fname && strstr(where.dli_fname, "/libjvm.so");
}

bool lp_handles_sigterm(void)
{
	struct sigaction action;
	if (sigaction(SIGTERM, NULL, &action))
		return false;
	if (!(action.sa_flags & SA_SIGINFO) && (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN))
		return false;
	return !(action.sa_flags & (int)SA_RESETHAND) && !is_virtual_machines(&action);
}
