// SPDX-License-Identifier: PostgreSQL
// To be written.
