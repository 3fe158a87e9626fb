// SPDX-License-Identifier: PostgreSQL
// sign_js.js FOLDER-WITH-NODE-MODULES HOST PORT USER COUNT: the time of each token that AWS's signer for JavaScript
// signs, as the stopwatch prints them.
const [, , folder, hostname, port, username, count] = process.argv;
const { Signer } = require(require.resolve("@aws-sdk/rds-signer", { paths: [folder] }));

(async () => {
  const signer = new Signer({ hostname, port: Number(port), username, region: "eu-west-1" });
  for (let i = 0; i < Number(count); ++i) {
    const cpu = process.cpuUsage();
    const wall = process.hrtime.bigint();
    await signer.getAuthToken();
    const took = process.hrtime.bigint() - wall;
    const used = process.cpuUsage(cpu);
    console.log(String(took), (used.user + used.system) * 1000);
  }
})();
