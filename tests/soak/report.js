'use strict';
/**
 * The table at the end.
 */
const countOf = (lists, name) => (lists[name] ?? []).length;

function rows({ settings, watch, plain, sessions, rude, faults, verdicts, counts, start }) {
	const { requests, sessions: ends } = verdicts;
	const ms = (latencies, when) => {
		const { count, of } = latencies.quantiles(when);
		return `${of.map((value) => value.toFixed(2)).join(' / ')} ms (of ${count})`;
	};
	const use = ({ start: first, halfway, peak, end }) => `${first} / ${halfway} / ${peak} / ${end}`;
	return [
		['seconds, seed', `${settings.seconds}, ${settings.seed}`],
		['faults', Object.entries(faults.done).map(([kind, times]) => `${times} ${kind}`).join(', ')],
		['worker deaths', counts.worker_exits - start.worker_exits],
		['reloads: done, refused, rolled back', `${counts.reloads}, ${counts.failed_reloads}, ${counts.rollbacks}`],
		['policies: errors, hooks stopped, ms without', `${counts.policy_errors}, ${counts.policy_kills}, ${counts.policy_benched_ms}`],
		['rude clients', rude.count],
		['requests answered: new, slow, kept', Object.values(plain.answered).join(', ')],
		['sessions ended by their client; echoes', `${sessions.finished}; ${sessions.echoes}`],
		[],
		['accepted', counts.accepted],
		['handed over', counts.handed_over],
		['refused', counts.refused],
		['closed early', counts.closed_early],
		['waiting', counts.waiting],
		['moved to another worker', counts.moved],
		['  came back: its worker died, refused, had no room',
			`${counts.returned_lost}, ${counts.returned_refused}, ${counts.returned_no_room}`],
		['lost', countOf(requests, 'lost')],
		['  died with their worker: begun, just read', `${countOf(requests, 'begun')}, ${countOf(requests, 'read')}`],
		['  later requests on such connections', countOf(requests, 'later')],
		['  refused while no worker was usable', countOf(requests, 'refused')],
		['read by two workers', verdicts.twice.length],
		['left open', plain.leftOpen + rude.leftOpen],
		['sessions broken', countOf(ends, 'broken')],
		['  died with their worker', countOf(ends, 'its worker died')],
		['times that the counts were asked and held; not answered', `${watch.samples}; ${watch.unanswered}`],
		[],
		['hand-over p50 / p99 / p99.9, calm', ms(watch.coreLatencies, 'calm')],
		['  in the storm', ms(watch.coreLatencies, 'storm')],
		['first byte p50 / p99 / p99.9, calm', ms(watch.latencies, 'calm')],
		['  in the storm', ms(watch.latencies, 'storm')],
		['descriptors at start / halfway / peak / end', use(watch.descriptors)],
		['resident KiB at start / halfway / peak / end', use(watch.residentKib)],
	];
}

/** Print it. @param result  As `soak` makes it. */
function print(result) {
	const lines = rows(result).map(([name = '', value = '']) => `${name.padEnd(58)}${value}`.trimEnd());
	console.log(lines.join('\n'));
}

module.exports = { print };
