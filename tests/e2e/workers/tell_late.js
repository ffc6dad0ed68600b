'use strict';
/**
 * Required in front of a worker, this lets its primary hear of everything 20 ms late.
 */
const send = process.send;

process.send = (...message) => void setTimeout(() => send.apply(process, message), 20);
