; SPDX-License-Identifier: PostgreSQL
; who HOST PORT USER DATABASE: asks the query in $Q.
(require "postgresql")
(destructuring-bind (host port user database) ext:*args*
  (let ((connection (postgresql:PQsetdbLogin host port nil nil database user nil)))
    (print (postgresql:PQerrorMessage connection))
    (print (postgresql:PQgetvalue (postgresql:PQexec connection (ext:getenv "Q")) 0 0))))
