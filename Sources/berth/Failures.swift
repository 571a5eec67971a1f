import AuthorCommands
import Gateway
import MachineAPI
import Orchestrator
import Persistence
import Wire

extension StateError: Explained {
    package var failure: Failure { Failure(message, hint: remedy) }
}

extension OCIError: Explained {
    package var failure: Failure { Failure(message, hint: hint.isEmpty ? nil : hint) }
}

extension ImageBuildFailure: Explained {
    package var failure: Failure { Failure(message, hint: hint) }
}

extension ProvisioningFailure: Explained {
    package var failure: Failure { Failure(message, hint: hint) }
}

extension MachineAPIError: Explained {
    package var failure: Failure { Failure(message) }
}

extension ExchangeFailure: Explained {
    package var failure: Failure {
        Failure("Berth ended before its answer did: \(reason)", hint: "berth status, then run the command again")
    }
}
