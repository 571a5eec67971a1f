import NIOCore

/// One process after another: a server that takes a lock, a port or a file must not meet its predecessor's last moment.
extension Child {
    /// Starts no process before nothing is left of `other`'s, or before that takes too long.
    func follow(_ other: Child) {
        if other.isGone { return }
        let bound = NIOLoopBound(self, eventLoop: environment.loop)
        followTimer = environment.loop.scheduleTask(in: environment.limits.handOver) { bound.value.followed() }
        other.stopped.append { bound.value.followed() }
    }

    private func followed() {
        guard let timer = followTimer else { return }
        timer.cancel()
        followTimer = nil
        if !isIdle { wake() }
    }
}
