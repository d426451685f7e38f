// Node's own cluster with two workers of hello.js: what a manager's cluster mode is measured by.
// NODE_CLUSTER_SCHED_POLICY chooses between rr (node's default) and none.
const cluster = require('node:cluster');
cluster.setupPrimary({exec: require.resolve('./hello.js')});
cluster.fork();
cluster.fork();
