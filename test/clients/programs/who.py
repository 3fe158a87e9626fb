# SPDX-License-Identifier: PostgreSQL
"""who.py DRIVER HOST PORT USER DATABASE: asks the query in $Q through the driver, without a password."""
import importlib, os, sys

driver, host, port, user, database = sys.argv[1:]
query = os.environ["Q"]
conninfo = f"host={host} port={port} user={user} dbname={database}"


def plain(module, *arguments, **named):
    cursor = importlib.import_module(module).connect(*arguments, **named).cursor()
    cursor.execute(query)
    return cursor.fetchone()[0]


def asynchronous():
    import psycopg2, psycopg2.extras
    connection = psycopg2.connect(conninfo, async_=1)
    psycopg2.extras.wait_select(connection)
    cursor = connection.cursor()
    cursor.execute(query)
    psycopg2.extras.wait_select(connection)
    return cursor.fetchone()[0]


def sqlalchemy():
    import sqlalchemy
    engine = sqlalchemy.create_engine(f"postgresql+psycopg2://{user}@{host}:{port}/{database}")
    return engine.connect().execute(sqlalchemy.text(query)).scalar()


def peewee():
    from peewee import PostgresqlDatabase
    return PostgresqlDatabase(database, host=host, port=int(port), user=user).execute_sql(query).fetchone()[0]


def pony():
    from pony import orm
    db = orm.Database(provider="postgres", host=host, port=port, user=user, database=database)
    with orm.db_session:
        return db.select("current_user") and "I am " + db.get("current_user")


print({
    "peewee": peewee,
    "pony": pony,
    "psycopg2": lambda: plain("psycopg2", conninfo),
    "psycopg2-async": asynchronous,
    "psycopg2cffi": lambda: plain("psycopg2cffi", conninfo),
    "psycopg": lambda: plain("psycopg", conninfo),
    "pygresql": lambda: plain("pgdb", database=database, host=f"{host}:{port}", user=user),
    "pyodbc": lambda: plain("pyodbc", "DRIVER={PostgreSQL Unicode};SSLMODE=verify-full;"
                            f"SERVER={host};PORT={port};UID={user};DATABASE={database}"),
    "sqlalchemy": sqlalchemy,
}[driver]())
