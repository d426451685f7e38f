// Node's own cluster with WORKERS workers of worker.js; NODE_CLUSTER_SCHED_POLICY chooses between
// rr (node's default) and none.
const cluster = require('node:cluster');
cluster.setupPrimary({exec: require.resolve('./worker.js')});
for (let count = Number(process.env.WORKERS); count > 0; count--) cluster.fork();
