'use strict';
/**
 * Where workers listen: any port will do in the dialect `cluster`, where it is not bound; in `node` it is limpet's first, of
 * which the library is told. Where limpet has none but paths, its first path.
 */
const [first] = (process.env.LIMPET_PRELOAD_LISTEN ?? '3000').split(',');

module.exports = first.startsWith('unix:') ? first.slice('unix:'.length) : Number(first);
