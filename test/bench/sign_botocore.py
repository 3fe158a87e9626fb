# SPDX-License-Identifier: PostgreSQL
"""sign_botocore.py HOST PORT USER COUNT: the time of each token that botocore signs, as the stopwatch prints them."""

import sys
import time

import botocore.session

host, port, user, count = sys.argv[1:]
client = botocore.session.get_session().create_client("rds", region_name="eu-west-1")
for _ in range(int(count)):
    cpu, wall = time.process_time_ns(), time.perf_counter_ns()
    client.generate_db_auth_token(host, int(port), user)
    print(time.perf_counter_ns() - wall, time.process_time_ns() - cpu)
