'use strict';
/**
 * What /proc tells about a process.
 */
const fs = require('node:fs');

/** Open descriptors of a process. */
function descriptors(pid) {
	return fs.readdirSync(`/proc/${pid}/fd`).length;
}

/** What the descriptors of a process lead to, by number: "/dev/null", "socket:[4711]". */
function links(pid) {
	const found = {};
	for (const fd of fs.readdirSync(`/proc/${pid}/fd`)) {
		try {
			found[fd] = fs.readlinkSync(`/proc/${pid}/fd/${fd}`);
		} catch {
			// Closed in the meantime; of our own, it is the one that the folder was read through.
		}
	}
	return found;
}

/** A line of /proc/PID/status. */
function statusOf(pid, name) {
	return new RegExp(`^${name}:[ \\t]*(.*)$`, 'm').exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1].trim();
}

/** The number that the next descriptor of a process gets. */
function nextDescriptor(pid) {
	const taken = new Set(fs.readdirSync(`/proc/${pid}/fd`).map(Number));
	let next = 0;
	while (taken.has(next))
		next++;
	return next;
}

/** The soft and the hard limit of a process's open descriptors. */
function fileLimits(pid) {
	const limits = fs.readFileSync(`/proc/${pid}/limits`, 'utf8');
	return /^Max open files\s+(\d+)\s+(\d+)/m.exec(limits).slice(1).map(Number);
}

/** Resident memory of a process, in KiB. */
function residentKib(pid) {
	return parseInt(statusOf(pid, 'VmRSS'), 10);
}

/** Processor time that a process has used, in milliseconds; it ticks in tens. */
function cpuMs(pid) {
	const fields = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
	return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** A process's state and parent, as /proc has them; undefined when it is gone. */
function stat(pid) {
	try {
		const [state, parent] = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
		return { state, parent: Number(parent) };
	} catch {
		return undefined;
	}
}

/** A letter: R, S, T (stopped), Z …; undefined when it is gone. */
function stateOf(pid) {
	return stat(pid)?.state;
}

function childrenOf(pid) {
	const pids = fs.readdirSync('/proc').filter((entry) => /^\d+$/.test(entry)).map(Number);
	return pids.filter((child) => stat(child)?.parent === pid);
}

/** Bytes that wait, unread, in connections to an address, "127.0.0.1:43211". */
function bytesWaiting(address) {
	const port = Number(address.split(':')[1]).toString(16).toUpperCase().padStart(4, '0');
	const rows = fs.readFileSync('/proc/net/tcp', 'utf8').trim().split('\n').slice(1).map((row) => row.trim().split(/\s+/));
	const ours = rows.filter(([, local, , state]) => local.endsWith(`:${port}`) && state === '01');
	return ours.reduce((sum, [, , , , queues]) => sum + parseInt(queues.split(':')[1], 16), 0);
}

/** How often a process has gone to sleep, and so has been woken, since it began. */
function sleeps(pid) {
	return parseInt(statusOf(pid, 'voluntary_ctxt_switches'), 10);
}

/** The processes that live with a variable in their environment. A zombie has none. */
function withVariable(name, value) {
	const has = (pid) => {
		try {
			const variables = fs.readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
			return variables.includes(`${name}=${value}`);
		} catch {
			return false; // It has just ended, or is somebody else's.
		}
	};
	return fs.readdirSync('/proc').filter((entry) => /^\d+$/.test(entry) && has(entry)).map(Number);
}

module.exports = {
	bytesWaiting, childrenOf, cpuMs, descriptors, fileLimits, links, nextDescriptor, residentKib, sleeps, stateOf, statusOf,
	withVariable,
};
