-- forget_members: removes members that are away, at once instead of after seven days, with what they have not read.
--
-- ARGV: list of node ids
-- Returns: [now, [id, outcome (forgotten|alive|unknown), ...]]
-- Atomic, because a member that joins again meanwhile must not lose its row.
make_way()
load_meta()
local outcomes = {}
for at = ARGV.members.first, #ARGV, ARGV.members.size do
  local id = ARGV[at].member
  local row = read_row(id)
  local outcome = 'unknown'
  if row and is_live(row) then
    outcome = 'alive'
  elseif call('HEXISTS', MEMBERS, id) == 1 then
    remove_member(id, row)
    outcome = 'forgotten'
  end
  outcomes[#outcomes + 1] = id
  outcomes[#outcomes + 1] = outcome
end
return { int(now), outcomes }
