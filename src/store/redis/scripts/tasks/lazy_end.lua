-- Closes tasks/lazy_begin.lua, and returns what a tick needs of tasks/shared.lua.
  look_at_tasks = function(most, jitter, id)
    mend_running(id)
    mend_lanes()
    walk_tasks()
    mend_bytes()
    blocking.mend()
    local next_ready, next_overdue = promote_due(most), end_overdue(most, jitter)
    settle_waiting()
    forget_old(most)
    note_ended()
    return next_ready, next_overdue
  end
end

look_at_tasks = function(...)
  with_tasks()
  return look_at_tasks(...)
end

release_tasks = function(...)
  with_tasks()
  return release_tasks(...)
end
