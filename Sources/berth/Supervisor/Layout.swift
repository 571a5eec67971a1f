import AuthorCommands
import Glibc
import Persistence

/// Makes the folders of one installation: owners and modes are half of the boundary between root and the gateway.
enum Layout {
    static func prepare(_ installation: Installation) throws {
        let (uid, gid) = try GatewayUser.ids()
        try RestoredState.refuseUnfinished(installation.state)
        do {
            _ = try StateDirectory(installation.state)
            try directory(installation.orchestratorState, 0o700, 0, 0)
            try directory(installation.gatewayState, 0o700, uid, gid)
            try directory("/run/berth", 0o711, 0, 0)
            try directory(installation.runDirectory, 0o710, 0, gid)
            try directory(installation.doorsDirectory, 0o750, 0, gid)
            try directory(installation.gatewayMount, 0o711, 0, 0)
        } catch let error as StateError {
            throw Failure(error.message, hint: error.remedy)
        }
    }

    private static func directory(_ path: String, _ mode: mode_t, _ uid: uid_t, _ gid: gid_t) throws {
        guard mkdir(path, mode) == 0 || errno == EEXIST else {
            throw Failure("\(path) cannot be made: \(String(cString: strerror(errno)))", hint: "choose another --state")
        }
        var info = stat()
        guard lstat(path, &info) == 0, info.st_mode & S_IFMT == S_IFDIR else { throw Failure("\(path) is no folder", hint: "move it away") }
        guard chown(path, uid, gid) == 0, chmod(path, mode) == 0 else {
            throw Failure("\(path) cannot be given its owner: \(String(cString: strerror(errno)))", hint: "choose another --state")
        }
    }
}
