-- drain: starts or stops draining of a member: a draining member takes no new work.
--
-- ARGV: 1 node id, 2 incarnation, 3 enabled (1|0), 4 which of the node's statements about itself this is
-- Returns: [status, now, resigned (1|0), running tasks, leases held under this node id]
-- A full Redis allows the end of draining, and refuses its beginning without any effect.
-- Atomic, because nothing may be granted to the node between its new status and the count of what it holds. Processes that hold a
-- lease by their own presence are asked to release it; other leases stay until they are released or expire.
local id, incarnation, enabled = ARGV[1], ARGV[2], ARGV[3] == '1'
if not enabled then
  make_way()
end
load_meta()
guard_stall()
local status, row = identify(id, incarnation, '')
if status ~= 'ok' then
  return { status, int(now), 0, 0, 0 }
end
local resigned = 0
if enabled ~= is_draining(row) or number(row.v, 0) < number(ARGV[4], 0) then
  row.s, row.v = enabled and 'draining' or 'online', ARGV[4]
  write_row(id, row)
end
local leader = read_leader()
if enabled and leader and leader.holder == id and leader.incarnation == incarnation then
  vacate_leader(leader, 'handover')
  resigned = 1
end
local leases = 0
for _, name in ipairs(try('SMEMBERS', owned_key(id)) or {}) do
  local record = read_record(name, try)
  if record and record.holder == id and cluster_now() <= ends_at(record) then
    leases = leases + 1
    if enabled and record.presence ~= '' then
      call('PUBLISH', presence_channel(record.presence), 'drain')
    end
  end
end
return { status, int(now), resigned, try('SCARD', PREFIX .. 'held:' .. id) or 0, leases }
