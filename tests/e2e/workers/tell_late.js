'use strict';
/**
 * Required in front of a worker, this lets its primary hear of everything $LATE_MS later.
 */
const send = process.send;

process.send = (...message) => void setTimeout(() => send.apply(process, message), Number(process.env.LATE_MS));
