/*
 * A library that is called as Java's virtual machine is, with a signal handler in it: for test_preload_sigterm.
 */
void handle_user_signal(int signal);

__attribute__((visibility("default"))) void handle_user_signal(int signal)
{
	(void)signal;
}
