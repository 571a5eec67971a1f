import Logging
import NIOCore

extension Hop {
    /// A call that was on its way while its machine's door was closed lies in front of a machine that stands still, whoever of the two was
    /// held up for longer than the orchestrator waits. It is waked, reads the call, and serves it.
    func wakeStanding() {
        for door in doors.standing where !door.isBeingWaked {
            door.isBeingWaked = true
            let address = door.address
            let (support, app, logger) = (doors.support, door.app, logger)
            eventLoop.makeFutureWithTask {
                if try await support.wake(machine: address.machine, app: app) {
                    logger.notice("a machine was suspended under a call, and is waked", metadata: ["machine": "\(address.machine)"])
                }
            }.assumeIsolated().whenComplete { _ in door.isBeingWaked = false }
        }
    }
}
