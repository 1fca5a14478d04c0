// Runs cases with node-oracledb in Thin mode: reads {connect, cases} as JSON from
// stdin and writes what came of each case, by its name.
'use strict';
const oracledb = require('oracledb');

const hex = (b) => b.toString('hex').toUpperCase();

function plain(v) {
  if (v === null || v === undefined) return null;
  if (Buffer.isBuffer(v)) return hex(v);
  if (v instanceof Date) return v.toISOString();
  return String(v);
}

// Numbers as texts, with all their digits; LOBs as what they hold.
function fetchTypeHandler(column) {
  switch (column.dbType) {
    case oracledb.DB_TYPE_NUMBER: return { type: oracledb.STRING };
    case oracledb.DB_TYPE_CLOB: return { type: oracledb.STRING };
    case oracledb.DB_TYPE_BLOB: return { type: oracledb.BUFFER };
  }
}

async function run(c, connection) {
  switch (c.kind) {
    case 'query': {
      const r = await connection.execute(c.sql, [], { fetchTypeHandler, maxRows: 0, fetchArraySize: 100 });
      return { rows: r.rows.map((row) => row.map(plain)) };
    }
    case 'change': {
      const r = await connection.execute(c.sql, c.params || [], { autoCommit: true });
      return { affected: r.rowsAffected };
    }
    case 'block': {
      const r = await connection.execute(c.sql, { in: 'in', out: { dir: oracledb.BIND_OUT, type: oracledb.STRING, maxSize: 100 } });
      return { out: r.outBinds.out };
    }
    case 'cursor': {
      const r = await connection.execute(c.sql, { rows: { dir: oracledb.BIND_OUT, type: oracledb.CURSOR } });
      const rows = await r.outBinds.rows.getRows();
      return { rows: rows.map((row) => row.map(plain)) };
    }
    case 'batch': {
      const r = await connection.executeMany(c.sql, c.rows, { batchErrors: true, autoCommit: true });
      const errors = (r.batchErrors || []).map((e) => ({ row: e.offset + 1, code: e.errorNum || Number(/ORA-(\d+)/.exec(e.message)[1]) }));
      return { affected: r.rowsAffected, errors };
    }
    case 'returning': {
      const r = await connection.execute(c.sql, { name: c.params[0], id: { dir: oracledb.BIND_OUT, type: oracledb.NUMBER } }, { autoCommit: true });
      return { out: r.outBinds.id.map(plain) };
    }
    case 'table': {
      const r = await connection.execute(c.sql, {
        in: { dir: oracledb.BIND_IN, type: oracledb.NUMBER, val: c.params },
        out: { dir: oracledb.BIND_OUT, type: oracledb.NUMBER, maxArraySize: 10 },
      });
      return { out: r.outBinds.out.map(plain) };
    }
    case 'typed': {
      const rows = c.rows.map(([n, d, r]) => [n, d && new Date(d + 'Z'), r && Buffer.from(r, 'hex')]);
      const bindDefs = [{ type: oracledb.NUMBER }, { type: oracledb.DB_TYPE_DATE }, { type: oracledb.BUFFER, maxSize: 20 }];
      const r = await connection.executeMany(c.sql, rows, { bindDefs, autoCommit: true });
      return { affected: r.rowsAffected };
    }
    case 'lob': {
      const lob = await connection.createLob(oracledb.CLOB);
      await new Promise((resolve, reject) => { lob.on('error', reject); lob.on('finish', resolve); lob.end(c.params[0]); });
      const r = await connection.execute(c.sql, [lob], { autoCommit: true });
      return { affected: r.rowsAffected };
    }
    case 'hang': {
      connection.callTimeout = 1000;
      try {
        await connection.execute(c.sql);
      } finally {
        connection.callTimeout = 0;
        await connection.execute('SELECT id FROM emp'); // the session can still be used
      }
    }
  }
}

async function main() {
  const { connect, cases } = JSON.parse(require('fs').readFileSync(0, 'utf8'));
  const results = {};
  let connection;
  for (const c of cases) {
    try {
      if (c.kind === 'login') {
        const other = await oracledb.getConnection({ user: c.user, password: c.password, connectString: connect.replace(/\/.*/, '/' + c.service) });
        await other.close();
        results[c.name] = { login: true };
        continue;
      }
      connection = connection || await oracledb.getConnection({ user: 'scott', password: 'tiger', connectString: connect });
      results[c.name] = await run(c, connection);
    } catch (e) {
      const code = { 'NJS-123': 1013, 'NJS-518': 12514 }[e.code] || e.errorNum;
      results[c.name] = { error: code || e.message, position: e.offset || 0 };
    }
  }
  if (connection) {
    await connection.commit();
    await connection.ping();
    await connection.close();
  }
  process.stdout.write(JSON.stringify(results));
}

main().catch((e) => { console.error(e); process.exit(1); });
