-- watch_lease: reads a lease. Changes nothing.
--
-- ARGV: 1 name
-- Returns: [now, epoch, record]
-- Atomic, because record and subscription must be seen in one moment.
load_meta()
return { int(now), meta.epoch, lease_reply(read_record(ARGV[1])) }
