"""x"""


def compare_prints(deployment, name, folder, is_recording):
    return "failed"
