"""Runs cases with python-oracledb in Thin mode: reads {connect, cases} as JSON from
stdin and writes what came of each case, by its name."""

import datetime
import decimal
import json
import re
import sys

import oracledb

oracledb.defaults.fetch_decimals = True


def plain(v):
    if v is None:
        return None
    if isinstance(v, oracledb.LOB):
        return plain(v.read())
    if isinstance(v, bytes):
        return v.hex().upper()
    if isinstance(v, datetime.datetime):
        return v.isoformat(timespec="milliseconds")
    if isinstance(v, decimal.Decimal):
        return format(v, "f")
    return str(v)


def rows_of(cursor):
    return {"rows": [[plain(v) for v in row] for row in cursor.fetchall()]}


def run(c, connection):
    cursor = connection.cursor()
    kind, sql = c["kind"], c["sql"]
    if kind == "query":
        cursor.execute(sql)
        return rows_of(cursor)
    if kind == "change":
        cursor.execute(sql, c.get("params") or [])
        return {"affected": cursor.rowcount}
    if kind == "block":
        out = cursor.var(str, 100)
        cursor.execute(sql, {"in": "in", "out": out})
        return {"out": out.getvalue()}
    if kind == "cursor":
        rows = cursor.var(oracledb.CURSOR)
        cursor.execute(sql, [rows])
        return rows_of(rows.getvalue())
    if kind == "batch":
        cursor.executemany(sql, c["rows"], batcherrors=True)
        errors = [{"row": e.offset + 1, "code": e.code or int(re.search(r"ORA-(\d+)", e.message).group(1))} for e in cursor.getbatcherrors()]
        return {"affected": cursor.rowcount, "errors": errors}
    if kind == "returning":
        out = cursor.var(oracledb.NUMBER)
        cursor.execute(sql, {"name": c["params"][0], "id": out})
        return {"out": [f"{v:g}" for v in out.getvalue()]}
    if kind == "table":
        given = cursor.arrayvar(oracledb.NUMBER, c["params"])
        out = cursor.arrayvar(oracledb.NUMBER, 10)
        cursor.execute(sql, {"in": given, "out": out})
        return {"out": [f"{v:g}" for v in out.getvalue()]}
    if kind == "typed":
        cursor.setinputsizes(oracledb.NUMBER, oracledb.DB_TYPE_DATE, oracledb.DB_TYPE_RAW)
        rows = [[n, d and datetime.datetime.fromisoformat(d), r and bytes.fromhex(r)] for n, d, r in c["rows"]]
        cursor.executemany(sql, rows)
        return {"affected": cursor.rowcount}
    if kind == "lob":
        lob = connection.createlob(oracledb.DB_TYPE_CLOB)
        lob.write(c["params"][0])
        cursor.execute(sql, [lob])
        return {"affected": cursor.rowcount}
    if kind == "hang":
        connection.call_timeout = 1000
        try:
            cursor.execute(sql)
        finally:
            connection.call_timeout = 0
            connection.cursor().execute("SELECT id FROM emp")


def main():
    asked = json.load(sys.stdin)
    results, connection = {}, None
    for c in asked["cases"]:
        try:
            if c["kind"] == "login":
                address = asked["connect"].split("/")[0]
                oracledb.connect(user=c["user"], password=c["password"], dsn=address + "/" + c["service"]).close()
                results[c["name"]] = {"login": True}
                continue
            if connection is None:
                connection = oracledb.connect(user="scott", password="tiger", dsn=asked["connect"])
            results[c["name"]] = run(c, connection)
        except oracledb.Error as e:
            known = {"DPY-4024": 1013, "DPY-6001": 12514}
            problem = e.args[0]
            code = known.get(problem.full_code) or problem.code
            results[c["name"]] = {"error": code or str(e), "position": problem.offset or 0}
    if connection is not None:
        connection.commit()
        connection.ping()
        connection.close()
    json.dump(results, sys.stdout)


main()
