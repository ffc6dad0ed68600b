'use strict';
const path = require('node:path');

/** What is built goes where nothing is kept; the packages are those of the folder above. */
module.exports = { distDir: '../node_modules/.next-build', turbopack: { root: path.join(__dirname, '..') } };
