"""Training runs: one loop for every network, resumable, on Ray Train.

A trainer brings a `TaskSpec` (`training.runs.task`): what to train and how it is judged. A `RunPlan`
(`training.runs.plan`) says for how long, how and where. `training.runs.launch.train` does the rest:

    result = train(plan, MyTaskSpec(...))     # starts Ray, trains or resumes, returns what came of it
"""
