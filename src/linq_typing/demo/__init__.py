"""`linq-typing demo`: four scenes of a bot's life, played with the real library against the sandbox.

* `_stage`    what a scene is, and what it has to play with
* `_scenes`   the four scenes
* `_theatre`  plays a scene and tells, as it goes on, what there is to see: a `View`
* `_account`  what was asked of the API, read out of a timeline
* `_picture`  a `View` as a picture
* `_shows`    pictures in a terminal, plain lines elsewhere
"""
