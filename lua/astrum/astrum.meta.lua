---@meta astrum.core
-- Types for the Lua language server that code cannot say: references, task in its forms, and the
-- functions of the C module. Never loaded by the library.

---A field of a task's result, or all of it. It has a value only inside a body, as an input.
---@class astrum.Reference
---@field [string|integer] astrum.Reference

---What `task` returns: a reference to the whole result of the task.
---@class astrum.Task: astrum.Reference

---The root of references: F.task.field[1], F("task", "field", 1), F "task.field[1]" are equal. A
---handle may stand in place of the name.
---@class astrum.F
---@field [string] astrum.Reference
---@overload fun(task: string|astrum.Task, ...: string|integer): astrum.Reference

---@alias astrum.Type
---| "integer" | "number" | "string" | "boolean" | "table" | "list" | "function" | "any"
---| "integer?" | "number?" | "string?" | "boolean?" | "table?" | "list?" | "function?" | "any?"
---| fun(value: any): boolean, string?

---What a task is made of.
---@class astrum.TaskSpec
---@field run function the body: a Lua or C function
---@field inputs? table<string, any>|any[] values by parameter, or a list in their order
---@field outputs? astrum.T[] fields of the result that go to other tasks
---@field depends_on? (string|astrum.Task)[] tasks to wait for without data
---@field retry? integer further attempts after the first, 0 by default
---@field namespace? string where to declare it, the active namespace by default
---@field description? string
---@field detached? boolean true: the run does not wait for it

---@class astrum.BuildOptions
---@field namespace? string the active one by default
---@field target_tasks? (string|astrum.Task)[] run these and all they need; all tasks by default
---@field config? astrum.Config|table
---@field [integer] string|astrum.Task targets

---What a body knows of its attempt: the parameter `ctx`.
---@class astrum.Context
---@field task string
---@field namespace string
---@field attempt integer from 1
---@field run_id string a text that no other run has
---@field idempotency_key string run_id/task, the same in every attempt
---@field deadline? number nil: there are no deadlines yet
---@field params table empty: there are no parameters yet
---@field cancelled fun(): boolean whether the attempt was asked to stop
---@field log fun(...: any) writes a line to stderr
---@field progress fun(fraction: number, text?: string) is shown by the status of the run's handle

---What `spawn` runs.
---@class astrum.SpawnOptions
---@field [integer] string the command, looked up in PATH, and its arguments
---@field cwd? string
---@field env? table<string, string|false> variables to change; false removes one
---@field stdin? string empty by default
---@field stdout? "capture"|"inherit"|"null" "capture" by default
---@field stderr? "capture"|"inherit"|"null" "capture" by default

---What became of a child process.
---@class astrum.SpawnResult
---@field code? integer exit code, nil when a signal ended it
---@field signal? integer
---@field stdout string
---@field stderr string

---@class astrum.TaskFunction
---@overload fun(name: string): fun(spec: astrum.TaskSpec|function): astrum.Task
---@overload fun(name: string, spec: astrum.TaskSpec|function): astrum.Task

---@class astrum
---@field F astrum.F
---@field task astrum.TaskFunction
---@field VERSION string

local core = {}

---@type astrum.F
core.F = nil

---Waits at least so long. 0 lets other tasks run.
---@async
---@param seconds number
function core.sleep(seconds) end

---Turns a callback into a wait. `start` is called with the function `done`, and may return a
---cleanup, which is called if the wait is cancelled.
---@async
---@param start fun(done: fun(...: any)): function?
---@return any ... what the first `done` was given
function core.await(start) end

---Runs functions side by side and waits for all of them. The first error cancels the others and is
---raised.
---@async
---@param functions function[]
---@return { n: integer, [integer]: any } results in the order of the functions
function core.all(functions) end

---Runs a child process and waits for its end. An exit code that is not 0 is no error; a command
---that cannot be started is.
---@async
---@param options astrum.SpawnOptions
---@return astrum.SpawnResult
function core.spawn(options) end

---What the running body knows of its attempt; nil outside of tasks.
---@return astrum.Context?
function core.context() end

---Makes timeouts stop Lua code that never waits, too. In astrum-lua they always do. Other programs
---have to ask for it, once, because it installs a handler for a real-time signal, until the Lua
---state is closed, and replaces coroutine.resume, coroutine.wrap and coroutine.close. Call it before
---code keeps those in locals of its own.
---@return boolean? enabled true; nil when the system has no timer for it
---@return string? message why not
function core.enable_preemption() end

return core
